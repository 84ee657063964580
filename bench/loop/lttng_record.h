/* SPDX-License-Identifier: MIT */
/* The tracepoint of records_lttng.c: what a record of the ring carries. Included more than once, by
 * LTTng's own macros. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER loopscope_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_record.h"

#if !defined(LSC_BENCH_LTTNG_RECORD_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LSC_BENCH_LTTNG_RECORD_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(
	loopscope_bench, record,
	LTTNG_UST_TP_ARGS(uint8_t, kind, uint8_t, arg8, uint16_t, arg16, uint32_t, task, uint64_t, arg64),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint8_t, kind, kind)
			    lttng_ust_field_integer(uint8_t, arg8, arg8)
			    lttng_ust_field_integer(uint16_t, arg16, arg16)
			    lttng_ust_field_integer(uint32_t, task, task)
			    lttng_ust_field_integer(uint64_t, arg64, arg64)))

#endif

#include <lttng/tracepoint-event.h>
