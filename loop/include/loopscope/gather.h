/* SPDX-License-Identifier: MIT */
/* Many futures as one. */
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

LSC_END

#endif
