/* SPDX-License-Identifier: MIT */
/* Tasks of the C accelerator, which uvloop uses, too; those written in Python are not found. */
#include "inspect/pytask.h"

#include <inttypes.h>
#include <stdio.h>

#define MODULE_DICT 16
#define TASK_TYPE   "_asyncio.Task"
#define LOOPS_MAX   64 /* event loops whose current tasks are looked at */

struct search {
	const struct pyframe *frames;
	size_t n;
	uint64_t task; /* 0 not found yet */
	size_t frame;
	size_t seen;
};

/* Where the frame of a generator or coroutine lies. */
static uint64_t frame_of(const struct pyview *v, uint64_t coro)
{
	uint64_t frame;

	if (v->layout.code_bytes)
		return coro + v->layout.gen_frame;
	return cpython_read_pointer(&v->py, coro + v->layout.gen_frame, &frame) ? frame : 0;
}

/* Of two loops in one thread the inner one's task is current. */
static bool look_at_task(struct pyview *v, uint64_t key, uint64_t task, void *arg)
{
	struct search *s = arg;
	uint64_t coro;

	(void)key;
	if (++s->seen > LOOPS_MAX)
		return true;
	if (!pyobject_has_base(v, task, TASK_TYPE) ||
	    !cpython_read_pointer(&v->py, task + v->layout.task_coro, &coro) || !coro)
		return false;
	uint64_t frame = frame_of(v, coro);
	for (size_t i = 0; frame && i < s->n; i++) {
		if (s->frames[i].address != frame || (s->task && i >= s->frame))
			continue;
		s->task = task;
		s->frame = i;
	}
	return false;
}

uint64_t pytask_global(struct pyview *v, const char *name)
{
	uint64_t modules, module, names;

	if (!cpython_read_pointer(&v->py, v->interp + v->layout.interp_modules, &modules))
		return 0;
	module = pyobject_find(v, modules, "_asyncio");
	if (!module || !cpython_read_pointer(&v->py, module + MODULE_DICT, &names))
		return 0;
	return pyobject_find(v, names, name);
}

/* One that was given no name has a number, from 3.12 on until it is asked for its name. */
static void print_number(uint64_t number, char *name, size_t size)
{
	snprintf(name, size, "Task-%" PRIu64, number);
}

bool pytask_name(struct pyview *v, uint64_t object, char *name, size_t size)
{
	uint64_t number;

	if (!pyobject_count(v, object, &number))
		return pyobject_text(v, object, name, size);
	print_number(number, name, size);
	return true;
}

/* sys.modules['_asyncio']._current_tasks, looked for again only where that has changed. */
uint64_t pytask_current(struct pyview *v)
{
	uint64_t modules, keys[2], count;

	if (v->tasks.dict)
		return v->tasks.dict;
	if (!cpython_read_pointer(&v->py, v->interp + v->layout.interp_modules, &modules) ||
	    !pyobject_read(v, modules + 16, &count, sizeof(count)) ||
	    !pyobject_read(v, modules + 32, keys, sizeof(keys)) ||
	    (v->tasks.keys == keys[0] && v->tasks.count == count))
		return 0;
	v->tasks.dict = pytask_global(v, "_current_tasks");
	v->tasks.keys = keys[0];
	v->tasks.count = count;
	return v->tasks.dict;
}

/* Up to 3.13: one of those that a dictionary has, by their loops. */
static void find_by_loop(struct pyview *v, struct search *s)
{
	pyobject_each(v, pytask_current(v), look_at_task, s);
	if (!s->task && v->tasks.dict && !pyobject_is(v, v->tasks.dict, PYTYPE_DICT))
		v->tasks.dict = v->tasks.keys = 0; /* something else lies there */
}

/* Since 3.14: the one that the thread's state names. */
static void find_by_thread(struct pyview *v, uint32_t tid, struct search *s)
{
	uint64_t state, task;

	state = v->layout.state_task ? pyframe_state(v, tid) : 0;
	if (state && cpython_read_pointer(&v->py, state + v->layout.state_task, &task) && task)
		look_at_task(v, 0, task, s);
}

bool pytask_find(struct pyview *v, uint32_t tid, const struct pyframe *frames, size_t n,
		 uint64_t *ret, const struct pyframe **ret_frame, char *name, size_t size)
{
	struct search s = {.frames = frames, .n = n};
	uint64_t text;

	if (v->layout.minor >= 14)
		find_by_thread(v, tid, &s);
	else
		find_by_loop(v, &s);
	if (!s.task || !cpython_read_pointer(&v->py, s.task + v->layout.task_coro + 8, &text))
		return false;
	if (!pytask_name(v, text, name, size))
		return false;
	*ret = s.task;
	*ret_frame = &frames[s.frame];
	return true;
}

bool pytask_take(struct pyview *v, const struct inspector_seen_task *seen,
		 const struct pyframe *frames, size_t n, uint64_t *ret,
		 const struct pyframe **ret_frame, char *name, size_t size)
{
	size_t i = 0, known = seen->size < sizeof(seen->bytes) ? seen->size : sizeof(seen->bytes);
	uint64_t number;

	while (i < n && frames[i].address != seen->frame)
		i++;
	if (!seen->address || i == n)
		return false;
	if (pyobject_count_seen(v, seen->bytes, known, &number))
		print_number(number, name, size);
	else if (!pyobject_text_seen(v, seen->name, seen->bytes, known, name, size))
		return false;
	*ret = seen->address;
	*ret_frame = &frames[i];
	return true;
}
