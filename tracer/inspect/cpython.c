/* SPDX-License-Identifier: MIT */
/* The lock of the main interpreter: where it names its holder. */
#include "inspect/cpython.h"

#include <unistd.h>

#include "inspect/answer.h"
#include "inspect/pyframe.h"
#include "inspect/pytask.h"

#define ADDRESS_END (1ull << 47)

bool cpython_read_pointer(const struct cpython *py, uint64_t address, uint64_t *ret)
{
	uint64_t p;

	if (!py->read(py->arg, address, &p, sizeof(p)) || p % sizeof(p) || p >= ADDRESS_END)
		return false;
	*ret = p;
	return true;
}

static bool is_inside(const struct cpython *py, uint64_t address, uint64_t size)
{
	return address >= py->address && size <= py->size &&
	       address - py->address <= py->size - size;
}

enum message_why cpython_find_gil(const struct cpython *py, struct inspector_gil *ret)
{
	uint64_t interp, gil = py->address, holder;
	struct pylayout l;
	uint32_t locked;

	enum message_why why = pylayout_find(py, &l);
	if (why)
		return why;
	gil += l.gil;
	interp = pylayout_interpreter(py, &l);
	if (!interp)
		return MESSAGE_WHY_LAYOUT;
	if (!l.gil && !cpython_read_pointer(py, interp + l.interp_gil, &gil))
		return MESSAGE_WHY_LAYOUT;
	gil += l.gil_last_holder;
	/* locked is -1 until there is a lock */
	if (!is_inside(py, gil, sizeof(holder) + sizeof(locked)) ||
	    !cpython_read_pointer(py, gil, &holder) ||
	    !py->read(py->arg, gil + sizeof(holder), &locked, sizeof(locked)) || locked > 1 ||
	    (locked && !holder))
		return MESSAGE_WHY_LAYOUT;
	*ret = (struct inspector_gil){
		.holder = gil, .id_offset = l.state_id, .id_hop = l.state_id_hop};
	return MESSAGE_WHY_NONE;
}

static struct inspector_place place_of(struct pyview *v)
{
	const struct pylayout *l = &v->layout;
	struct inspector_place place = {
		.state_cframe = l->state_cframe,
		.state_frame = l->state_frame,
		.frame_bytes = l->frame_owner ? PYLAYOUT_FRAME_BYTES : PYLAYOUT_FRAME_BYTES_310,
		.frame_code = l->frame_code,
		.frame_instr = l->frame_instr,
		.frame_previous = l->frame_previous,
		.frame_owner = l->frame_owner,
		.frame_entry = l->frame_entry,
		.code_name = l->code_name,
		.code_first = l->code_first,
		.code_file = l->code_file,
		.code_table = l->code_table,
		.gen_frame = l->gen_frame,
		.text_ascii = l->text_ascii,
		.text_wide = l->text_wide,
	};

	if (!l->task_coro)
		return place;
	place.task_coro = l->task_coro;
	place.task_name = l->task_coro + (uint32_t)sizeof(uint64_t);
	if (!l->state_task)
		place.tasks = pytask_current(v);
	else if (l->state_task < INSPECTOR_PLACE_REACH)
		place.state_task = l->state_task;
	return place;
}

size_t cpython_run(struct space *s, const struct message_job *job, unwind_phase_fn *phase,
		   void *arg, void *buf)
{
	static struct answer answer; /* 60 KiB; the worker has one thread */

	answer_init(&answer, job->cookie);
	if (!s) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	if (space_is_gone(s))
		answer.head.flags |= MESSAGE_RESULT_GONE;
	struct pyview *v = pyview_get(s, phase, arg);
	if (!v || !v->py.address)
		return answer_write(&answer, buf);
	answer.head.address = v->py.address;
	answer.head.size = v->py.size;
	if (!v->why) {
		answer.head.place = place_of(v);
		answer.head.state = pyframe_state(v, job->python);
	}
	answer.head.why =
		v->no_version ? MESSAGE_WHY_LAYOUT : cpython_find_gil(&v->py, &answer.head.gil);
	return answer_write(&answer, buf);
}
