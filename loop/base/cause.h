/* SPDX-License-Identifier: MIT */
/* The causes among which a stall's time is divided. Values are stored: append only. */
#ifndef LSC_BASE_CAUSE_H
#define LSC_BASE_CAUSE_H

enum lsc_cause {
	LSC_CAUSE_SLEEP = 0,
	LSC_CAUSE_FILE_IO = 1,
	LSC_CAUSE_NETWORK_IO = 2,
	LSC_CAUSE_PIPE_IO = 3,
	LSC_CAUSE_LOCK = 4,
	LSC_CAUSE_GIL = 5,
	LSC_CAUSE_CHILD_WAIT = 6,
	LSC_CAUSE_PAGE_FAULT = 7,
	LSC_CAUSE_DEVICE = 8,
	LSC_CAUSE_CPU_USER = 9,
	LSC_CAUSE_CPU_KERNEL = 10,
	LSC_CAUSE_RUNQUEUE = 11,
	LSC_CAUSE_THROTTLED = 12,
	LSC_CAUSE_STEAL = 13,
	LSC_CAUSE_STOPPED = 14,
	LSC_CAUSE_OTHER = 15,
	LSC_CAUSE_COUNT, /* grows; never stored */
};

/* "sleep", "file-io", ...; "other" for a value this version does not know. Borrowed. */
const char *lsc_cause_name(int cause);

/* The value of a name, or -1. */
int lsc_cause_of(const char *name);

#endif
