/* SPDX-License-Identifier: MIT */
/*
 * The ledger of losses: every producer, map, ring and queue counts into one of these, so that
 * emitted == stored + lost(by reason) always. Values are stored: append only.
 */
#ifndef LSC_BASE_LOSS_H
#define LSC_BASE_LOSS_H

enum lsc_loss {
	LSC_LOSS_BPF_RING_FULL = 0,	/* an event found no room in the BPF ring buffer */
	LSC_LOSS_TASK_RING_OVERRUN = 1, /* the loop's ring wrapped before it was read */
	LSC_LOSS_TASK_RING_INVALID = 2, /* a ring record failed validation */
	LSC_LOSS_EVENT_INVALID = 3,	/* a BPF event failed validation */
	LSC_LOSS_MAP_FULL = 4,		/* threads and processes without room in a BPF map */
	LSC_LOSS_UNCONFIRMED = 5,	/* withdrawn: its loop turned out to idle elsewhere */
	LSC_LOSS_STORE_FULL = 6,	/* the capture reached its size bound */
	LSC_LOSS_STORE_ERROR = 7,	/* the capture could not be written */
	LSC_LOSS_QUOTA = 8,		/* over the target's share */
	LSC_LOSS_SHUTDOWN = 9,		/* still in flight when the capture was aborted */
	LSC_LOSS_COUNT,			/* grows; never stored */
};

/* "bpf-ring-full", ...; "unknown" for a value this version does not know. Borrowed. */
const char *lsc_loss_name(int loss);

#endif
