/* SPDX-License-Identifier: MIT */
/* What a capture says once about itself: host, thresholds, coverage, losses, what it could not see.
 */
#include "analysis/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define NAMED_MAX 10000 /* rows of each list: more than any capture of ours has */

static int read_text(struct store *s, struct analysis *a, const char *key, const char **ret)
{
	*ret = store_meta_get(s, key);
	return arena_keep(&a->arena, ret);
}

static uint64_t read_number(struct store *s, const char *key)
{
	int64_t v = store_meta_get_int(s, key, -1);

	return v < 0 ? ANALYSIS_UNKNOWN : (uint64_t)v;
}

static double read_share(struct store *s, const char *key)
{
	const char *text = store_meta_get(s, key);
	char *end;

	if (!text)
		return -1;
	double v = strtod(text, &end);
	return end != text && !*end && v >= 0 && v <= 1 ? v : -1;
}

static int on_step(uint64_t ts_ns, const char *what, void *arg)
{
	struct analysis *a = arg;

	if (a->noverhead == NAMED_MAX)
		return 0;
	struct overhead_step *t = rows_push(&a->overhead, &a->noverhead, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct overhead_step){ts_ns, what};
	return arena_keep(&a->arena, &t->what);
}

static int on_loss(enum lsc_loss reason, uint64_t n, void *arg)
{
	struct analysis *a = arg;

	if ((unsigned)reason < LSC_LOSS_COUNT)
		a->lost[reason] = add_sat(a->lost[reason], n);
	a->lost_total = add_sat(a->lost_total, n);
	return 0;
}

static int on_unseen(const char *what, const char *why, void *arg)
{
	struct analysis *a = arg;

	return a->nunseen < NAMED_MAX ? load_unseen(a, what, why, 0) : 0;
}

static int on_unresolved(const char *what, const char *why, uint64_t n, void *arg)
{
	struct analysis *a = arg;

	if (a->nunresolved == NAMED_MAX)
		return 0;
	struct named *t = rows_push(&a->unresolved, &a->nunresolved, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct named){what, why, n};
	int r = arena_keep(&a->arena, &t->what);
	return r < 0 ? r : arena_keep(&a->arena, &t->why);
}

int load_meta(struct store *s, struct analysis *a)
{
	const struct {
		const char *key;
		const char **text;
	} texts[] = {
		{STORE_META_TOOL_VERSION, &a->tool_version},
		{STORE_META_HOSTNAME, &a->hostname},
		{STORE_META_KERNEL, &a->kernel},
		{STORE_META_ARCH, &a->arch},
		{STORE_META_BOOT_ID, &a->boot_id},
		{STORE_META_MODE, &a->mode},
		{STORE_META_END_REASON, &a->end_reason},
		{STORE_META_OVERHEAD_METHOD, &a->overhead_method},
	};
	const struct {
		const char *key;
		uint64_t *number;
	} numbers[] = {
		{STORE_META_CPUS, &a->cpus},
		{STORE_META_START_NS, &a->start_ns},
		{STORE_META_START_WALL_NS, &a->start_wall_ns},
		{STORE_META_END_NS, &a->end_ns},
		{STORE_META_END_WALL_NS, &a->end_wall_ns},
		{STORE_META_EXIT_STATUS, &a->exit_status},
		{STORE_META_STALL_NS, &a->stall_ns},
		{STORE_META_BLOCK_NS, &a->block_ns},
		{STORE_META_READY_WAIT_NS, &a->ready_wait_ns},
		{STORE_META_EMITTED, &a->emitted},
		{STORE_META_STORED, &a->stored},
		{STORE_META_BPF, &a->bpf},
		{STORE_META_BPF_NS, &a->bpf_ns},
		{STORE_META_CPU_NS, &a->cpu_ns},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(texts); i++) {
		int r = read_text(s, a, texts[i].key, texts[i].text);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < LSC_ARRAY_LEN(numbers); i++)
		*numbers[i].number = read_number(s, numbers[i].key);
	a->coverage = read_share(s, STORE_META_COVERAGE);
	a->is_live = store_is_live(s) && a->end_ns == ANALYSIS_UNKNOWN;

	int r = store_each_loss(s, on_loss, a);
	if (!r)
		r = store_each_step(s, on_step, a);
	if (!r)
		r = store_each_unseen(s, on_unseen, a);
	if (!r)
		r = store_each_unresolved(s, on_unresolved, a);
	return r;
}
