/* SPDX-License-Identifier: MIT */
/* The kernel's accounts beside what a ring tells. */
#include "feed_kernel.h"

#define CLOCKS_NS 50000 /* the scheduler's clock and the ring's are closer together than that */

bool feed_kernel_add(struct feed_kernel *k, const struct event_stall *e)
{
	struct feed_kernel_account *a = &k->account[k->naccounts % FEED_KERNEL_ACCOUNTS];
	bool room = k->naccounts < FEED_KERNEL_ACCOUNTS || a->settled;

	k->naccounts++;
	*a = (struct feed_kernel_account){.e = *e};
	return room;
}

void feed_kernel_told(struct feed_kernel *k, uint64_t begin_ns, uint64_t end_ns, uint64_t least_ns)
{
	if (begin_ns > k->told_ns && begin_ns - k->told_ns >= least_ns)
		k->silence[k->nsilences++ % FEED_KERNEL_SILENCES] =
			(struct feed_kernel_silence){k->told_ns, begin_ns};
	if (end_ns > k->told_ns)
		k->told_ns = end_ns;
}

static size_t count_accounts(const struct feed_kernel *k)
{
	return k->naccounts < FEED_KERNEL_ACCOUNTS ? k->naccounts : FEED_KERNEL_ACCOUNTS;
}

const struct event_stall *feed_kernel_find(const struct feed_kernel *k, uint64_t begin_ns,
					   uint64_t end_ns)
{
	for (size_t i = 0; i < count_accounts(k); i++) {
		const struct event_stall *e = &k->account[i].e;
		if (e->begin_ns < end_ns && e->end_ns > begin_ns)
			return e;
	}
	return NULL;
}

const struct event_stall *feed_kernel_last(struct feed_kernel *k, uint64_t begin_ns)
{
	if (!k->naccounts)
		return NULL;
	struct feed_kernel_account *a = &k->account[(k->naccounts - 1) % FEED_KERNEL_ACCOUNTS];
	if (!a->e.exited || a->e.end_ns <= begin_ns)
		return NULL;
	a->settled = true;
	return &a->e;
}

/* What of the silence lies in the period e, if that is more than was found so far. */
static void take_longer(const struct event_stall *e, uint64_t from, uint64_t to,
			struct feed_kernel_silence *longest)
{
	if (from < e->begin_ns)
		from = e->begin_ns;
	if (to > e->end_ns)
		to = e->end_ns;
	if (to > from && to - from > longest->to_ns - longest->from_ns)
		*longest = (struct feed_kernel_silence){from, to};
}

static struct feed_kernel_silence longest_silence(const struct feed_kernel *k,
						  const struct event_stall *e, uint64_t open_ns)
{
	size_t n = k->nsilences < FEED_KERNEL_SILENCES ? k->nsilences : FEED_KERNEL_SILENCES;
	struct feed_kernel_silence longest = {0, 0};

	for (size_t i = 0; i < n; i++)
		take_longer(e, k->silence[i].from_ns, k->silence[i].to_ns, &longest);
	take_longer(e, k->told_ns, open_ns, &longest);
	return longest;
}

static bool lies_in(uint64_t from_ns, uint64_t ns, const struct feed_kernel_silence *s)
{
	return from_ns + CLOCKS_NS >= s->from_ns && from_ns + ns <= s->to_ns + CLOCKS_NS;
}

/* Cuts the account to a part of its period. What is certain of it may lie elsewhere. */
static void cut_to(struct event_stall *e, const struct feed_kernel_silence *s)
{
	uint64_t low = s->to_ns == e->end_ns ? e->low_ns : 0, length = s->to_ns - s->from_ns;

	if (!lies_in(e->certain_start_ns, e->certain_ns, s))
		e->certain_ns = e->certain_start_ns = 0;
	if (!lies_in(e->longest_block_start_ns, e->longest_block_ns, s))
		e->longest_block_ns = e->longest_block_start_ns = 0;
	if (e->certain_ns > length)
		e->certain_ns = length;
	if (low < e->certain_ns)
		low = e->certain_ns;
	e->low_ns = low < length ? low : length;
	if (e->cpu_ns > length)
		e->cpu_ns = length;
	e->begin_ns = s->from_ns;
	e->end_ns = s->to_ns;
}

bool feed_kernel_untold(struct feed_kernel *k, uint64_t open_ns, uint64_t least_ns,
			struct event_stall *ret_account, bool *ret_part)
{
	size_t n = count_accounts(k);

	for (size_t i = k->naccounts - n; i < k->naccounts; i++) {
		struct feed_kernel_account *a = &k->account[i % FEED_KERNEL_ACCOUNTS];
		if (a->settled)
			continue;
		a->settled = true;
		struct feed_kernel_silence s = longest_silence(k, &a->e, open_ns);
		uint64_t length = s.to_ns - s.from_ns;
		if (length < least_ns)
			continue;
		*ret_account = a->e;
		*ret_part = length < (a->e.end_ns - a->e.begin_ns) / 10 * 9;
		if (*ret_part)
			cut_to(ret_account, &s);
		return true;
	}
	return false;
}
