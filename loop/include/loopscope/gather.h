/* SPDX-License-Identifier: MIT */
/* Many futures: as one, some of them, one after the other; and one apart from its waiters. */
#ifndef LOOPSCOPE_GATHER_H
#define LOOPSCOPE_GATHER_H

#include "loopscope/api.h"

LSC_BEGIN

/* Members that fail do not end the gather early: it waits for all of them. */
#define LSC_GATHER_ALL 1u

/* Gives a future that ends with 0 when all n members (borrowed; the gather holds references of its
 * own) have ended, or, without LSC_GATHER_ALL, with the first negative result as soon as there is
 * one; the other members then run on. Cancelling it cancels every member; it ends with -ECANCELED
 * after the last. NULL when out of memory or when a member belongs to another loop. */
LSC_API struct lsc_future *lsc_gather(struct lsc_future *const *members, size_t n, unsigned flags);

/* Writes the results of the members, in the order of the array given to lsc_gather(), into
 * ret_results, which has room for n ints. Returns their number; -EAGAIN while a member runs,
 * -EINVAL when gather is no gather, -ENOSPC when n is too small. */
LSC_API int lsc_gather_results(const struct lsc_future *gather, int *ret_results, size_t n);

/* Gives a future that ends as inner (borrowed; the shield holds a reference) does, but can be
 * cancelled alone: who awaits it can be cancelled without inner. NULL when out of memory or for
 * another loop's future. */
LSC_API struct lsc_future *lsc_shield(struct lsc_future *inner);

/* ---- waiting for some ---- */

enum lsc_wait_for_what {
	LSC_FIRST_COMPLETED, /* one has ended */
	LSC_FIRST_ERROR, /* one has ended with an error other than -ECANCELED, or all have ended */
	LSC_ALL_COMPLETED,
};

/* Suspends until enough of the n futures (borrowed) have ended, or timeout_ns has passed
 * (UINT64_MAX: no bound). Cancels none of them. Returns how many have ended: see lsc_is_done();
 * -EINVAL for n of 0, -EPERM outside of tasks or for another loop's future, -ENOMEM, -ECANCELED. */
LSC_API int lsc_wait(struct lsc_future *const *futures, size_t n, enum lsc_wait_for_what what,
		     uint64_t timeout_ns);

/* Futures in the order in which they end. */
struct lsc_as_completed;

/* Over n futures (borrowed; it holds references). NULL when out of memory or when one belongs to
 * another loop. */
LSC_API struct lsc_as_completed *lsc_as_completed_new(struct lsc_future *const *futures, size_t n);

/* Suspends until there is a next one. 1 and *ret (borrowed from all), 0 when all were given;
 * -EBUSY while another task is in here, -EIDRM when all was freed meanwhile, -EPERM, -ECANCELED. */
LSC_API int lsc_as_completed_next(struct lsc_as_completed *all, struct lsc_future **ret);

/* Takes it; NULL is allowed. The futures run on. Who waits in lsc_as_completed_next() gets -EIDRM.
 * Returns NULL. */
LSC_API struct lsc_as_completed *lsc_as_completed_free(struct lsc_as_completed *all);

LSC_END

#endif
