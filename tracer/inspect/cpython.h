/* SPDX-License-Identifier: MIT */
/*
 * CPython's own data in a target's memory, by the layout of its version. Runs in the worker alone:
 * all that is read is hostile, and each answer is one that several fields agree on.
 */
#ifndef LSC_INSPECT_CPYTHON_H
#define LSC_INSPECT_CPYTHON_H

#include "inspect/space.h"
#include "inspect/unwind.h"

/* Reads size bytes of the target at address; false when they are not all there. */
typedef bool cpython_read_fn(void *arg, uint64_t address, void *buf, size_t size);

struct cpython {
	uint64_t address, size; /* of _PyRuntime, as its symbol says; no overflow */
	uint64_t version; /* PY_VERSION_HEX as Py_Version says; 0: no such symbol, up to 3.10 */
	cpython_read_fn *read;
	void *arg;
};

/* A pointer to an object of C: aligned and of user space; 0 is none. */
bool cpython_read_pointer(const struct cpython *py, uint64_t address, uint64_t *ret);

/* Where the main interpreter's lock names its holder, 3.8 to 3.15. Sources of the offsets: the
 * headers of each version (pycore_runtime.h, pycore_interp.h, pycore_gil.h, pystate.h), from 3.13
 * on what the target's own _Py_DebugOffsets says. Why it is not known: MESSAGE_WHY_VERSION or
 * _FREE_THREADED for a version or build without a layout, MESSAGE_WHY_LAYOUT when memory does not
 * fit it; then *ret is not set. */
enum message_why cpython_find_gil(const struct cpython *py, struct inspector_gil *ret);

/* Runs one MESSAGE_CPYTHON. Writes a MESSAGE_RESULT without frames into buf of MESSAGE_MAX bytes;
 * its address is 0 when there is no _PyRuntime. The message's size. */
size_t cpython_run(struct space *s, const struct message_job *job, unwind_phase_fn *phase,
		   void *arg, void *buf);

#endif
