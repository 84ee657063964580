/* SPDX-License-Identifier: MIT */
/* Reading JSON of which nothing is certain: a missing or wrong field is the fallback. All borrowed.
 */
#ifndef LSC_REPORT_FIELD_H
#define LSC_REPORT_FIELD_H

#include <jansson.h>
#include <stdint.h>

/* The string, or NULL. o may be NULL or no object. */
static inline const char *field_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static inline int64_t field_int(const json_t *o, const char *key, int64_t fallback)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

/* A count or a duration: never negative. */
static inline uint64_t field_u64(const json_t *o, const char *key)
{
	int64_t v = field_int(o, key, 0);

	return v > 0 ? (uint64_t)v : 0;
}

static inline double field_real(const json_t *o, const char *key, double fallback)
{
	const json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : fallback;
}

#endif
