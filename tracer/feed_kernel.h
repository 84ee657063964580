/* SPDX-License-Identifier: MIT */
/*
 * The kernel's accounts of a loop's busy periods beside what its ring tells of them: which account
 * belongs to a tick of the ring, and of which the ring says nothing. Pure arithmetic: no I/O.
 */
#ifndef LSC_FEED_KERNEL_H
#define LSC_FEED_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define FEED_KERNEL_ACCOUNTS 64
#define FEED_KERNEL_SILENCES 64

struct feed_kernel {
	struct feed_kernel_account {
		struct event_stall e;
		bool settled; /* it was compared with the ring */
	} account[FEED_KERNEL_ACCOUNTS];
	size_t naccounts;	     /* ever; the oldest gives way */
	struct feed_kernel_silence { /* between two ticks of the ring */
		uint64_t from_ns, to_ns;
	} silence[FEED_KERNEL_SILENCES];
	size_t nsilences; /* the same */
	uint64_t told_ns; /* the end of the ring's last tick */
};

/* False when one that was not compared yet had to give way. */
bool feed_kernel_add(struct feed_kernel *k, const struct event_stall *e);
/* The ring tells of a tick. Silences shorter than least_ns matter to nobody. */
void feed_kernel_told(struct feed_kernel *k, uint64_t begin_ns, uint64_t end_ns, uint64_t least_ns);
/* An account of a period of which some lies in this one; NULL: none. */
const struct event_stall *feed_kernel_find(const struct feed_kernel *k, uint64_t begin_ns,
					   uint64_t end_ns);
/* The last account, if it has no end but that of the thread or of the capture, and that is later
 * than begin_ns: settles it. NULL: none. */
const struct event_stall *feed_kernel_last(struct feed_kernel *k, uint64_t begin_ns);
/* The ring was read to its end, and tells that a tick began at open_ns which goes on (UINT64_MAX:
 * none does): the next account of which it says nothing for least_ns and more, settled by that; cut
 * to these when they are but a part of it, which *ret_part says. False: there is none left. */
bool feed_kernel_untold(struct feed_kernel *k, uint64_t open_ns, uint64_t least_ns,
			struct event_stall *ret_account, bool *ret_part);

#endif
