/* SPDX-License-Identifier: MIT */
/*
 * The frames that a thread of a CPython is in, from its thread state on. They are one picture if
 * the thread sleeps while they are read: whether it did is the caller's to find out.
 */
#ifndef LSC_INSPECT_PYFRAME_H
#define LSC_INSPECT_PYFRAME_H

#include "inspect/pyobject.h"

#define PYFRAME_MAX 512

struct pyframe {
	uint64_t address;
	uint64_t name, file, table; /* of its code: texts, and the line table */
	int64_t at;  /* its instruction, in bytes from the first; less than 0: none yet */
	int first;   /* the code's first line */
	bool hidden; /* the interpreter's own: no part of any traceback */
	bool last;   /* the outermost that one run of the evaluating C function is for */
	bool gone;   /* its code is not there any more: nothing of it is known */
};

/* Writes the frames of the thread that the target numbers so, leaf first, at most PYFRAME_MAX of
 * them (then *ret_cut). NONE; MESSAGE_WHY_NO_STATE when it runs no Python; MESSAGE_WHY_LAYOUT when
 * something there is no frame. The latter two write nothing. */
enum message_why pyframe_walk(struct pyview *v, uint32_t tid, struct pyframe *ret, size_t *ret_n,
			      bool *ret_cut);

/* The same of frames that were read before, of which the code is looked at now. One whose code has
 * gone since is `gone`; MESSAGE_WHY_CHANGED when it cannot be told that there was any. n is at most
 * PYFRAME_MAX. */
enum message_why pyframe_take(struct pyview *v, const struct inspector_pyframe *seen, size_t n,
			      struct pyframe *ret);

/* The state of the thread that the target numbers so; 0: it has none in the main interpreter. */
uint64_t pyframe_state(const struct pyview *v, uint32_t tid);

/* One frame, not where it was called from. False: there is none. */
bool pyframe_read(struct pyview *v, uint64_t address, struct pyframe *ret);

/* The line it is at; 0 unknown. */
int pyframe_line(struct pyview *v, const struct pyframe *f);

#endif
