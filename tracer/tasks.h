/* SPDX-License-Identifier: MIT */
/* The tasks of a process as the control protocol tells them: who they are, where they stand, and
 * whom they await. */
#ifndef LSC_TASKS_H
#define LSC_TASKS_H

#include <jansson.h>

#include "inspect/inspector.h"
#include "ring_view.h"

struct tasks;

/* NULL out of memory. */
struct tasks *tasks_new(const struct target *target);
/* NULL is fine. Returns NULL. */
struct tasks *tasks_free(struct tasks *t);

/* Some tasks of asyncio. All of them are added before any ring's. */
void tasks_add_page(struct tasks *t, const struct inspector_pytask *page, size_t n);
void tasks_add_ring(struct tasks *t, const struct ring_view *v, uint64_t now);

/* Knows who awaits whom. After the last task. */
void tasks_join(struct tasks *t);

size_t tasks_count(const struct tasks *t);
/* Of asyncio those whose loop is run by our thread tid. */
size_t tasks_of_thread(const struct tasks *t, int tid);
/* Whether memory was short: some are missing. */
bool tasks_failed(const struct tasks *t);
/* The i-th as docs/control.md has it. Borrowed. */
json_t *tasks_get(const struct tasks *t, size_t i);

#endif
