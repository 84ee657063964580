/* SPDX-License-Identifier: MIT */
/*
 * One row of offsets for each version; from 3.13 on the target brings its row along. A row counts
 * only for the exact size of _PyRuntime, and only if the thread states that it leads to point back
 * to their interpreter and carry thread numbers.
 */
#include "inspect/cpython.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/answer.h"
#include "inspect/find.h"

#define HEX_MINOR(version) ((version) >> 16 & 0xff)
#define HEX_MAJOR(version) ((version) >> 24)
#define ADDRESS_END	   (1ull << 47)
#define STATES_MAX	   16	     /* thread states that are looked at */
#define TID_MAX		   0x400000u /* PID_MAX_LIMIT */
#define GLIBC_TID	   0x2d0     /* of struct pthread on x86-64, since 2.3 */

struct layout {
	uint32_t minor;	       /* of 3.x */
	uint64_t runtime_size; /* sizeof(_PyRuntimeState) */
	/* _PyRuntimeState; interpreters.main follows the head */
	uint32_t interpreters_head;
	uint32_t gil; /* ceval.gil; 0: each interpreter has a pointer to its own */
	/* PyInterpreterState */
	uint32_t interp_threads, interp_gil;
	/* struct _gil_runtime_state; `locked` follows */
	uint32_t gil_last_holder;
	/* PyThreadState */
	uint32_t state_next, state_interp;
	uint32_t state_id;     /* native_thread_id; else thread_id, which is a pthread_t */
	uint32_t state_id_hop; /* where that has the number of its thread; 0: it is the number */
};

static const struct layout layouts[] = {
	{8, 1464, 32, 1152, 8, 0, 8, 8, 16, 176, GLIBC_TID},
	{9, 656, 32, 352, 8, 0, 8, 8, 16, 176, GLIBC_TID},
	{10, 672, 32, 352, 8, 0, 8, 8, 16, 176, GLIBC_TID},
	{11, 166688, 40, 360, 16, 0, 8, 8, 16, 160, 0},
	{12, 459944, 40, 0, 72, 384, 8, 8, 16, 144, 0},
};

/* struct _Py_DebugOffsets, in words, as far as 3.13 and 3.14 agree or differ by one word. */
enum {
	DEBUG_COOKIE,
	DEBUG_VERSION,
	DEBUG_FREE_THREADED,
	DEBUG_RUNTIME_SIZE,
	DEBUG_INTERPRETERS_HEAD = 5,
	DEBUG_INTERP_THREADS = 9,
	/* from here on as in 3.13; 3.14 has threads.main before them */
	DEBUG_INTERP_CEVAL_GIL = 14,
	DEBUG_INTERP_GIL,
	DEBUG_INTERP_GIL_LOCKED = 17,
	DEBUG_INTERP_GIL_HOLDER,
	/* thread_state; 3.14 has two more words before it */
	DEBUG_STATE_NEXT = 21,
	DEBUG_STATE_INTERP,
	DEBUG_STATE_NATIVE_ID = 25,
	DEBUG_WORDS = 29,
};

static bool read_word(const struct cpython *py, uint64_t address, uint64_t *ret)
{
	return py->read(py->arg, address, ret, sizeof(*ret));
}

/* A pointer to an object of C; 0 is none. */
static bool read_pointer(const struct cpython *py, uint64_t address, uint64_t *ret)
{
	uint64_t p;

	if (!read_word(py, address, &p) || p % sizeof(p) || p >= ADDRESS_END)
		return false;
	*ret = p;
	return true;
}

static bool is_inside(const struct cpython *py, uint64_t address, uint64_t size)
{
	return address >= py->address && size <= py->size &&
	       address - py->address <= py->size - size;
}

static bool layout_known(const struct cpython *py, struct layout *ret)
{
	for (size_t i = 0; i < LSC_ARRAY_LEN(layouts); i++) {
		const struct layout *l = &layouts[i];
		if (l->runtime_size != py->size)
			continue;
		if (py->version ? HEX_MAJOR(py->version) != 3 || HEX_MINOR(py->version) != l->minor
				: l->minor > 10)
			continue;
		*ret = *l;
		return true;
	}
	return false;
}

static bool layout_told(const struct cpython *py, struct layout *ret)
{
	uint64_t d[DEBUG_WORDS];

	if (!py->read(py->arg, py->address, d, sizeof(d)) ||
	    memcmp(&d[DEBUG_COOKIE], "xdebugpy", sizeof(d[0])) != 0)
		return false;
	uint32_t minor = HEX_MINOR(d[DEBUG_VERSION]);
	if (HEX_MAJOR(d[DEBUG_VERSION]) != 3 || minor < 13 || minor > 14 ||
	    d[DEBUG_VERSION] != py->version || d[DEBUG_FREE_THREADED] ||
	    d[DEBUG_RUNTIME_SIZE] != py->size)
		return false;
	const uint64_t *interp = d + (minor - 13), *state = d + 3 * (minor - 13);
	const uint64_t fields[] = {
		d[DEBUG_INTERPRETERS_HEAD],	 d[DEBUG_INTERP_THREADS],
		interp[DEBUG_INTERP_CEVAL_GIL],	 interp[DEBUG_INTERP_GIL],
		interp[DEBUG_INTERP_GIL_HOLDER], interp[DEBUG_INTERP_GIL_LOCKED],
		state[DEBUG_STATE_NEXT],	 state[DEBUG_STATE_INTERP],
		state[DEBUG_STATE_NATIVE_ID],
	};
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		if (!fields[i] || fields[i] >= INSPECTOR_GIL_REACH || fields[i] % sizeof(uint64_t))
			return false;
	if (interp[DEBUG_INTERP_GIL_HOLDER] <= interp[DEBUG_INTERP_GIL] ||
	    interp[DEBUG_INTERP_GIL_LOCKED] != interp[DEBUG_INTERP_GIL_HOLDER] + sizeof(uint64_t))
		return false;
	*ret = (struct layout){
		.minor = minor,
		.runtime_size = py->size,
		.interpreters_head = (uint32_t)d[DEBUG_INTERPRETERS_HEAD],
		.interp_threads = (uint32_t)d[DEBUG_INTERP_THREADS],
		.interp_gil = (uint32_t)interp[DEBUG_INTERP_CEVAL_GIL],
		.gil_last_holder =
			(uint32_t)(interp[DEBUG_INTERP_GIL_HOLDER] - interp[DEBUG_INTERP_GIL]),
		.state_next = (uint32_t)state[DEBUG_STATE_NEXT],
		.state_interp = (uint32_t)state[DEBUG_STATE_INTERP],
		.state_id = (uint32_t)state[DEBUG_STATE_NATIVE_ID],
	};
	return true;
}

static bool has_thread_number(const struct cpython *py, const struct layout *l, uint64_t state)
{
	uint32_t low;
	uint64_t id;

	if (!l->state_id_hop)
		return read_word(py, state + l->state_id, &id) && id && id <= TID_MAX;
	return read_pointer(py, state + l->state_id, &id) && id &&
	       py->read(py->arg, id + l->state_id_hop, &low, sizeof(low)) && low && low <= TID_MAX;
}

/* All thread states belong to the interpreter, and one has a number: it may lack in one that is
 * about to start. */
static bool states_fit(const struct cpython *py, const struct layout *l, uint64_t interp)
{
	uint64_t state, owner;
	bool numbered = false;

	if (!read_pointer(py, interp + l->interp_threads, &state) || !state)
		return false;
	for (int i = 0; i < STATES_MAX && state; i++) {
		if (!read_pointer(py, state + l->state_interp, &owner) || owner != interp)
			return false;
		numbered |= has_thread_number(py, l, state);
		if (!read_pointer(py, state + l->state_next, &state))
			return false;
	}
	return numbered;
}

enum message_why cpython_find_gil(const struct cpython *py, struct inspector_gil *ret)
{
	uint64_t interp, gil = py->address, holder;
	struct layout l;
	uint32_t locked;

	if (!layout_known(py, &l) && !layout_told(py, &l))
		return MESSAGE_WHY_VERSION;
	gil += l.gil;
	if (!read_pointer(py, py->address + l.interpreters_head + sizeof(uint64_t), &interp) ||
	    !interp || !states_fit(py, &l, interp))
		return MESSAGE_WHY_LAYOUT;
	if (!l.gil && !read_pointer(py, interp + l.interp_gil, &gil))
		return MESSAGE_WHY_LAYOUT;
	gil += l.gil_last_holder;
	/* locked is -1 until there is a lock */
	if (!is_inside(py, gil, sizeof(holder) + sizeof(locked)) ||
	    !read_pointer(py, gil, &holder) ||
	    !py->read(py->arg, gil + sizeof(holder), &locked, sizeof(locked)) || locked > 1 ||
	    (locked && !holder))
		return MESSAGE_WHY_LAYOUT;
	*ret = (struct inspector_gil){
		.holder = gil, .id_offset = l.state_id, .id_hop = l.state_id_hop};
	return MESSAGE_WHY_NONE;
}

static bool read_mem(void *arg, uint64_t address, void *buf, size_t size)
{
	const struct space *s = arg;

	return s->mem >= 0 && address < ADDRESS_END &&
	       pread(s->mem, buf, size, (off_t)address) == (ssize_t)size;
}

size_t cpython_run(struct space *s, const struct message_job *job, unwind_phase_fn *phase,
		   void *arg, void *buf)
{
	static struct answer answer; /* 60 KiB; the worker has one thread */
	struct cpython py = {.read = read_mem, .arg = s};
	uint64_t version, size;
	char byte;

	answer_init(&answer, job->cookie);
	if (!s) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	if (s->mem >= 0 && pread(s->mem, &byte, 1, 0) == 0)
		answer.head.flags |= MESSAGE_RESULT_GONE;
	phase(MESSAGE_PHASE_INDEX, arg);
	if (!find_symbol(s, "python", "_PyRuntime", &py.address, &py.size))
		return answer_write(&answer, buf);
	answer.head.address = py.address;
	answer.head.size = py.size;
	if (find_symbol(s, "python", "Py_Version", &version, &size) &&
	    !read_word(&py, version, &py.version))
		answer.head.why = MESSAGE_WHY_LAYOUT;
	else
		answer.head.why = cpython_find_gil(&py, &answer.head.gil);
	return answer_write(&answer, buf);
}
