/* SPDX-License-Identifier: MIT */
/*
 * Sources: Objects/genobject.c of each version (_PyGen_yf, and the structs of what stands between
 * two coroutines), Include/internal/pycore_frame.h.
 */
#include "inspect/pyawait.h"

#include "inspect/pyclass.h"

#define STEPS_MAX		   256 /* objects on the way; a chain that has no end is cut */
#define DEPTH_MAX		   (1 << 20)
#define WRAPPED			   16  /* what a wrapper stands for */
#define OPCODE_YIELD_FROM	   72  /* up to 3.10 */
#define OPCODE_RESUME		   151 /* 3.11 and 3.12; the argument says after what */
#define OPCODE_RESUME_QUICK	   150 /* 3.11 */
#define OPCODE_INSTRUMENTED_RESUME 240 /* 3.12 */
#define AFTER_YIELD_FROM	   2   /* and after an await, 3 */
#define CODE_BYTES		   48  /* of PyCodeObject: co_code, up to 3.10 */
#define BYTES_ITEMS		   32
#define SUSPENDED_YIELD_FROM_313   (-1)
#define SUSPENDED_YIELD_FROM_315   2
#define CREATED_315		   0
#define EXECUTING_315		   4
#define REFERENCE_TAG		   7ull /* since 3.14: how it is counted */

static bool read_byte(const struct pyview *v, uint64_t address, int8_t *ret)
{
	return pyobject_read(v, address, ret, sizeof(*ret));
}

/* Where the coroutine's frame lies, and its state. False: it has none any more. */
static bool find_frame(const struct pyview *v, uint64_t coro, uint64_t *ret_frame, int8_t *ret_raw,
		       enum pyawait_state *ret_state)
{
	const struct pylayout *l = &v->layout;
	uint64_t frame = coro + l->gen_frame;
	int8_t raw;
	int32_t instr;

	if (!l->gen_state && (!cpython_read_pointer(&v->py, frame, &frame) || !frame))
		return false;
	if (!read_byte(v, l->gen_state ? coro + l->gen_state : frame + l->frame_state, &raw))
		return false;
	*ret_frame = frame;
	*ret_raw = raw;
	if (l->minor < 10) { /* whether it runs; it has begun when it is at an instruction */
		if (raw != 0 && raw != 1)
			return false;
		if (!pyobject_read(v, frame + l->frame_instr, &instr, sizeof(instr)))
			return false;
		*ret_state = raw	 ? PYAWAIT_RUNNING
			     : instr < 0 ? PYAWAIT_CREATED
					 : PYAWAIT_SUSPENDED;
		return true;
	}
	int created = l->minor >= 15 ? CREATED_315 : l->minor >= 13 ? -3 : -2;
	int executing = l->minor >= 15 ? EXECUTING_315 : 0;
	if (raw < created || raw > executing)
		return false;
	*ret_state = raw == executing ? PYAWAIT_RUNNING
		     : raw == created ? PYAWAIT_CREATED
				      : PYAWAIT_SUSPENDED;
	return true;
}

/* Whether the frame is suspended in an await, so that its stack ends with what it awaits. */
static bool is_awaiting(struct pyview *v, uint64_t frame, int8_t raw)
{
	const struct pylayout *l = &v->layout;
	uint64_t code, instr;
	uint8_t next[2];
	int32_t last;

	if (l->minor >= 15)
		return raw == SUSPENDED_YIELD_FROM_315;
	if (l->minor >= 13)
		return raw == SUSPENDED_YIELD_FROM_313;
	if (l->minor >= 11) {
		if (!pyobject_read(v, frame + l->frame_instr, &instr, sizeof(instr)) ||
		    !pyobject_read(v, instr + 2, next, sizeof(next)))
			return false;
		return (next[0] == OPCODE_RESUME || next[0] == OPCODE_RESUME_QUICK ||
			next[0] == OPCODE_INSTRUMENTED_RESUME) &&
		       (next[1] & 3) >= AFTER_YIELD_FROM;
	}
	if (!cpython_read_pointer(&v->py, frame + l->frame_code, &code) ||
	    !cpython_read_pointer(&v->py, code + CODE_BYTES, &code) ||
	    !pyobject_read(v, frame + l->frame_instr, &last, sizeof(last)) || last < 0)
		return false;
	uint64_t at = l->minor == 10 ? 2 * ((uint64_t)last + 1) : (uint64_t)last + 2;
	return pyobject_read(v, code + BYTES_ITEMS + at, next, sizeof(next)) &&
	       next[0] == OPCODE_YIELD_FROM;
}

/* A reference that a frame holds; 0 none. */
static uint64_t read_reference(const struct pyview *v, uint64_t address)
{
	uint64_t object;

	if (!pyobject_read(v, address, &object, sizeof(object)))
		return 0;
	if (v->layout.minor >= 14)
		object &= ~REFERENCE_TAG;
	return object % 8 ? 0 : object;
}

/* What lies on top of a suspended frame's stack; 0 nothing. */
static uint64_t top_of_stack(const struct pyview *v, uint64_t frame)
{
	const struct pylayout *l = &v->layout;
	uint64_t base = frame + l->frame_locals, end;
	int32_t depth;

	if (l->minor >= 14) { /* since 3.15 what is sent to it lies above that */
		uint64_t below = l->minor >= 15 ? 16 : 8;
		if (!cpython_read_pointer(&v->py, frame + l->frame_depth, &end) ||
		    end < base + below || end - base > DEPTH_MAX)
			return 0;
		return read_reference(v, end - below);
	}

	if (l->minor < 10) {
		if (!cpython_read_pointer(&v->py, frame + l->frame_depth, &base) || base <= frame)
			return 0;
		return read_reference(v, base - 8);
	}
	if (l->minor == 10 && !cpython_read_pointer(&v->py, frame + 64, &base))
		return 0;
	if (!pyobject_read(v, frame + l->frame_depth, &depth, sizeof(depth)) || depth < 1 ||
	    depth > DEPTH_MAX)
		return 0;
	return read_reference(v, base + 8ull * ((uint32_t)depth - 1));
}

/* One coroutine of the chain. False: it is none that waits or runs. *ret_next 0: the last one. */
static bool add_coroutine(struct pyview *v, uint64_t coro, struct pyawait *a, bool first,
			  uint64_t *ret_next)
{
	enum pyawait_state state;
	struct pyframe frame;
	uint64_t address;
	int8_t raw;

	if (!find_frame(v, coro, &address, &raw, &state) || !pyframe_read(v, address, &frame))
		return false;
	if (first)
		a->state = state;
	if (state == PYAWAIT_CREATED)
		frame.at = -1;
	if (a->n < PYAWAIT_MAX)
		a->frames[a->n++] = frame;
	else
		a->cut = true;
	*ret_next = state == PYAWAIT_SUSPENDED && is_awaiting(v, address, raw)
			    ? top_of_stack(v, address)
			    : 0;
	return true;
}

bool pyawait_walk(struct pyview *v, uint64_t coro, struct pyawait *ret)
{
	uint64_t at = coro;

	ret->n = 0;
	ret->cut = false;
	ret->waits = 0;
	for (int i = 0; i < STEPS_MAX && at && !ret->cut; i++) {
		switch (pyclass_of(v, at)) {
		case PYCLASS_CORO:
			if (!add_coroutine(v, at, ret, ret->n == 0, &at))
				return false;
			break;
		case PYCLASS_WRAPPER:
			if (!cpython_read_pointer(&v->py, at + WRAPPED, &at))
				return false;
			break;
		case PYCLASS_FUTURE_ITER:
			return cpython_read_pointer(&v->py, at + WRAPPED, &ret->waits) && ret->n;
		default:
			ret->waits = at;
			return ret->n > 0;
		}
	}
	ret->cut |= at != 0;
	return ret->n > 0;
}

uint64_t pyawait_self(struct pyview *v, const struct pyawait *a)
{
	return a->n ? read_reference(v, a->frames[a->n - 1].address + v->layout.frame_locals) : 0;
}
