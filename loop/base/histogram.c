/* SPDX-License-Identifier: MIT */
/* Adding, merging and quantiles of the log-linear histogram. */
#include "base/histogram.h"

#include <math.h>

void lsc_hist_add(struct lsc_histogram *h, uint64_t ns)
{
	h->slot[lsc_hist_index(ns)]++;
	h->count++;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

void lsc_hist_merge(struct lsc_histogram *h, const struct lsc_histogram *from)
{
	for (uint32_t i = 0; i < LSC_HIST_SLOTS; i++)
		h->slot[i] += from->slot[i];
	h->count += from->count;
	h->sum_ns += from->sum_ns;
	if (from->max_ns > h->max_ns)
		h->max_ns = from->max_ns;
}

uint64_t lsc_hist_slot_low(uint32_t i)
{
	if (i < (1u << (LSC_HIST_SUB_BITS + 1)))
		return i;
	uint32_t e = (i >> LSC_HIST_SUB_BITS) - 1;
	uint64_t m = (i & ((1u << LSC_HIST_SUB_BITS) - 1)) + (1u << LSC_HIST_SUB_BITS);

	return m << e;
}

uint64_t lsc_hist_quantile(const struct lsc_histogram *h, double q)
{
	if (!h->count)
		return 0;
	double want = ceil(q * (double)h->count);
	uint64_t seen = 0;

	if (want < 1)
		want = 1;
	for (uint32_t i = 0; i < LSC_HIST_SLOTS; i++) {
		seen += h->slot[i];
		if ((double)seen >= want) {
			uint64_t high =
				i + 1 < LSC_HIST_SLOTS ? lsc_hist_slot_low(i + 1) - 1 : h->max_ns;
			return high < h->max_ns ? high : h->max_ns;
		}
	}
	return h->max_ns;
}
