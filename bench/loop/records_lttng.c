/* SPDX-License-Identifier: MIT */
/* A record of LTTng-UST, as bench_records.c has ours. The session is made by `run`; without one
 * there is nothing to measure, and it exits with 1. */
#include <stdint.h>
#include <stdio.h>

#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_record.h"
#include "measure.h"

#define CALLS 100000

static void put_records(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < CALLS; i++)
		lttng_ust_tracepoint(loopscope_bench, record, 5, 0, 0, i, 0);
}

int main(void)
{
	if (!lttng_ust_tracepoint_enabled(loopscope_bench, record)) {
		fputs("the tracepoint is not enabled: no session records it\n", stderr);
		return 1;
	}
	measure("record", put_records, NULL, CALLS);
	return 0;
}
