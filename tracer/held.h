/* SPDX-License-Identifier: MIT */
/*
 * The first thread of a process that was met in no loop's wait: whether something holds it, and
 * where. It is looked at twice; nothing is asked of the thread itself.
 */
#ifndef LSC_HELD_H
#define LSC_HELD_H

#include <jansson.h>

#include "inspect/inspector.h"

struct held;

/* The first look. NULL: threads cannot be looked at, or out of memory. */
struct held *held_begin(int pid);
struct held *held_free(struct held *h);

/* The second. False: it slept in different places, or both slept and ran, so nothing holds it. */
bool held_is(struct held *h);

/* Has its stack unwound: where it slept all the time, as it lies there (ns_tid: with its frames of
 * Python; 0 without), else as a sample finds it. 0 or -errno. */
int held_unwind(struct held *h, struct inspector *ins, uint64_t cookie, int ns_tid);
/* A result. False: it is not the answer yet. */
bool held_take(struct held *h, const struct inspector_result *r);

/* A "main_thread" of docs/control.md. */
json_t *held_json(const struct held *h);

#endif
