/* SPDX-License-Identifier: MIT */
/* JSON values of hostile data: texts become valid UTF-8, numbers fit, unknown is null. */
#ifndef ANALYSIS_JSON_ROWS_H
#define ANALYSIS_JSON_ROWS_H

#include "analysis/analysis.h"

/* Each gives a new reference or NULL out of memory; json_object_set_new() and its kin pass NULL on.
 */
json_t *json_text(const char *text); /* NULL: null */
json_t *json_count(uint64_t n);	     /* clamped to INT64_MAX */
json_t *json_known(uint64_t n);	     /* the same; ANALYSIS_UNKNOWN: null */
json_t *json_id(int64_t id);	     /* 0: null */
json_t *json_when(const struct analysis *a,
		  uint64_t ns); /* from the capture's start; 0 and unknown: null */
json_t *json_site(const char *function, const char *file, int line); /* nothing known: null */
json_t *json_stall(const struct analysis *a, const struct analysis_stall *s);
/* One of the application's marks; with_loop: and of which loop. */
json_t *json_mark(const struct analysis *a, const struct store_mark *m, bool with_loop);
json_t *json_stack(const struct analysis_stack *k);

/* Appends to array; 0, or -ENOMEM when value is NULL. */
int json_put(json_t *array, json_t *value);

#endif
