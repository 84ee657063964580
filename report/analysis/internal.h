/* SPDX-License-Identifier: MIT */
/* The steps of analysis_run(), in their order. Each fills its part of struct analysis. */
#ifndef ANALYSIS_INTERNAL_H
#define ANALYSIS_INTERNAL_H

#include "analysis/analysis.h"

/* Room for one more element at the end of *rows, which doubles at powers of two. Zeroed; NULL out
 * of memory. *n is raised. */
void *rows_push(void *rows, size_t *n, size_t size);

/* load.c: all rows, with texts of the analysis' own. meta.c: what is said once. */
int load_rows(struct store *s, struct analysis *a);
int load_meta(struct store *s, struct analysis *a);
int load_unseen(struct analysis *a, const char *what, const char *why, uint64_t n);

/* relate.c: blocks, samples, culprits and waits to their stalls; causes, sites, victims. */
int relate_all(struct analysis *a);
/* How much of two spans of time is common. */
uint64_t relate_overlap(uint64_t start1, uint64_t len1, uint64_t start2, uint64_t len2);

/* stack_use.c: of what several loops of a process tell the most, in the order of weight. */
void stack_uses_merge(struct analysis *a);

/* profile.c, blame.c */
int profile_all(struct analysis *a);
int blame_all(struct analysis *a);

/* rules.c: fills findings. */
int rules_run(struct analysis *a);
/* finding.c: frees the table by which findings were grouped. */
void finding_ungroup(struct analysis *a);
/* The most specific rule whose cause holds at least half of the stall. */
const struct rule *rules_explaining(const struct analysis *a, const struct analysis_stall *stall);

/* site.c */
/* The innermost frame of the application's own code; rank 0: there is none. function NULL: it has
 * no name, the caller makes one of module and offset. */
void site_find(const struct store_stack *stack, struct site *ret);
/* "sqlalchemy" of a file of an installed package, "libsqlite3" of a module. NULL out of memory. */
const char *site_library_name(struct arena *a, const struct store_frame *f);
/* Whether the program itself gives it its name. */
bool site_has_name(const struct site *site);
/* The interpreter, the C library, a loop library, a standard library. */
bool site_is_runtime(const struct store_frame *f);
/* Of what turns loops and calls back: uv_run(), event_base_loop(), asyncio, node's own JavaScript.
 */
bool site_is_dispatch(const struct store_frame *f);

/* turn.c. TURN_ONE: some task held it for over a third. */
enum turn { TURN_UNKNOWN, TURN_ONE, TURN_MANY };
enum turn turn_of(const struct analysis *a, const struct analysis_stall *s);

#endif
