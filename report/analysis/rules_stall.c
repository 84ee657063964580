/* SPDX-License-Identifier: MIT */
/* Rules about stalls and the blocks in them. */
#include "analysis/rules.h"

#include <errno.h>

#include "analysis/internal.h"
#include "base/clock.h"

#define BLOCK_MIN_NS LSC_NS_PER_MS
#define HOST_MIN_NS  (10 * LSC_NS_PER_MS)

static bool has_cause(const struct rule *rule, const struct store_block *b)
{
	return rule->causes & CAUSE_BIT(b->cause);
}

/* The longest block of the rule's causes in a stall; NULL when the capture holds none. */
static const struct store_block *longest_block(const struct analysis *a, const struct rule *rule,
					       const struct analysis_stall *s)
{
	const struct store_block *best = NULL;

	for (size_t i = 0; i < s->nblocks; i++) {
		const struct store_block *b = &a->blocks[s->first_block + i].row;

		if (has_cause(rule, b) && (!best || b->duration_ns > best->duration_ns))
			best = b;
	}
	return best;
}

/* Of the many short waits for Python's lock few were looked into: the stall has the stack of one.
 */
static bool is_fuller(const struct site *stall, const struct store_block *b,
		      const struct site *block)
{
	return b->cause == LSC_CAUSE_GIL && stall->lang == STORE_LANG_PYTHON &&
	       block->lang != STORE_LANG_PYTHON;
}

/* Those whose place is known come first: the others may belong to them. */
enum pass { PASS_PLACED, PASS_PLACELESS, PASS_COUNT, PASS_ALL = PASS_COUNT };

static int add_in_pass(struct analysis *a, const struct rule *rule, struct occurrence *o,
		       enum pass pass)
{
	if (pass != PASS_ALL && finding_is_placeless(o) != (pass == PASS_PLACELESS))
		return 0;
	int r = pass == PASS_PLACELESS ? finding_place(a, rule, o) : 0;
	return r < 0 ? r : finding_add(a, rule, o);
}

/* `detail` is what the sentence adds about the stall; NULL: what its block b says, if there is one.
 */
static int add_stall(struct analysis *a, const struct rule *rule, const struct analysis_stall *s,
		     const struct store_block *b, uint64_t ns, const char *detail, enum pass pass)
{
	struct occurrence o = {
		.loop = s->row.loop,
		.task = b && b->task ? b->task : s->row.task,
		.stall = s,
		.site = rule->host || rule->explains ? (struct site){0} : s->site,
		.syscall = b ? b->syscall : NULL,
		.detail = detail,
		.ns = ns,
		.severity = rule_severity(rule, s->row.duration_ns),
		.inferred = s->row.inferred || (b && b->inferred),
		.evidence = {"stall", s->row.id, s->row.start_ns, s->row.duration_ns, NULL},
	};
	if (b) {
		const struct analysis_stack *k = analysis_stack_of(a, b->stack);

		if (k && k->site.function && !is_fuller(&s->site, b, &k->site))
			o.site = k->site;
		o.detail = detail ? detail : finding_detail(a, s, b);
		if (!o.detail)
			return -ENOMEM;
	}
	return add_in_pass(a, rule, &o, pass);
}

/* A block that no stall of this rule speaks for: at most info. */
static int add_block(struct analysis *a, const struct rule *rule,
		     const struct analysis_block *block, enum pass pass)
{
	const struct store_block *b = &block->row;
	const struct analysis_stack *k = analysis_stack_of(a, b->stack);
	const struct analysis_stall *s =
		block->stall == ANALYSIS_NONE ? NULL : &a->stalls[block->stall];
	struct occurrence o = {
		.loop = b->loop,
		.task = b->task,
		.stall = s,
		.syscall = b->syscall,
		.detail = finding_detail(a, s, b),
		.ns = b->duration_ns,
		.severity = SEVERITY_INFO,
		.inferred = b->inferred,
		.evidence = {"block", b->id, b->start_ns, b->duration_ns, NULL},
	};
	if (!o.detail)
		return -ENOMEM;
	if (k && k->site.function)
		o.site = k->site;
	return add_in_pass(a, rule, &o, pass);
}

/* Whether a block of a stall that the rule explains is one of its longest block's occurrence: at
 * the same site, or at one that is not known, or its stack has a part of the other's and not the
 * application's own frames, which take longer to read than a short block lasts. NULL: there is no
 * longest. */
static bool is_of_longest(const struct analysis *a, const struct store_block *longest,
			  const struct store_block *b)
{
	const struct analysis_stack *k = longest ? analysis_stack_of(a, longest->stack) : NULL;
	const struct analysis_stack *l = analysis_stack_of(a, b->stack);

	if (!longest || longest->syscall != b->syscall)
		return false;
	if (!l || !l->site.function)
		return true;
	if (!k || k->site.function == l->site.function)
		return k;
	for (size_t i = 0; l->site.rank < k->site.rank && i < k->row.nframes; i++)
		if (k->row.frames[i].function == l->site.function &&
		    k->row.frames[i].module == l->site.module)
			return true;
	return false;
}

/* What a stall that the rule explains waited at the site of its longest block. */
static uint64_t own_share(const struct analysis *a, const struct rule *rule,
			  const struct analysis_stall *s, const struct store_block *longest)
{
	uint64_t ns = rule_share(rule, &s->row), elsewhere = 0;

	for (size_t i = 0; longest && i < s->nblocks; i++) {
		const struct store_block *b = &a->blocks[s->first_block + i].row;

		if (has_cause(rule, b) && b->duration_ns >= BLOCK_MIN_NS &&
		    !is_of_longest(a, longest, b))
			elsewhere = add_sat(elsewhere, b->duration_ns);
	}
	if (longest && (elsewhere > ns || ns - elsewhere < longest->duration_ns))
		return longest->duration_ns;
	return ns - elsewhere;
}

/* Each stall that the rule explains is one occurrence, at the site of its longest block; blocks
 * elsewhere in that stall, in other stalls or outside of any are occurrences of their own. */
static int check_blocks(struct analysis *a, const struct rule *rule, enum pass pass)
{
	const struct store_block *longest = NULL;
	size_t in = ANALYSIS_NONE; /* the stall that `longest` belongs to */
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];

		if (s->rule != rule)
			continue;
		longest = longest_block(a, rule, s);
		r = add_stall(a, rule, s, longest, own_share(a, rule, s, longest), NULL, pass);
	}
	for (size_t i = 0; !r && i < a->nblocks; i++) {
		const struct analysis_block *b = &a->blocks[i];

		if (!has_cause(rule, &b->row) || b->row.duration_ns < BLOCK_MIN_NS)
			continue;
		if (b->stall != ANALYSIS_NONE && a->stalls[b->stall].rule->host)
			continue; /* on a starved host every wait is long */
		if (b->stall != ANALYSIS_NONE && a->stalls[b->stall].rule == rule) {
			if (in != b->stall)
				longest = longest_block(a, rule, &a->stalls[b->stall]);
			in = b->stall;
			if (is_of_longest(a, longest, &b->row))
				continue;
		}
		r = add_block(a, rule, b, pass);
	}
	return r;
}

int rule_check_blocks(struct analysis *a, const struct rule *rule)
{
	int r = 0;

	for (enum pass pass = 0; !r && pass < PASS_COUNT; pass++)
		r = check_blocks(a, rule, pass);
	return r;
}

/* The block whose call a stall is told by that no rule names the cause of; NULL none. */
static const struct store_block *block_that_held(const struct analysis *a,
						 const struct analysis_stall *s)
{
	const struct store_block *b = analysis_longest_block(a, s);

	return b && b->cause == s->cause && b->syscall ? b : NULL;
}

/* "on /srv/fifo (pipe-io)"; b may be NULL. NULL out of memory. */
static const char *what_held(struct analysis *a, const struct analysis_stall *s,
			     const struct store_block *b)
{
	const char *detail = b ? finding_detail(a, s, b) : "";

	if (!detail)
		return NULL;
	return arena_printf(&a->arena, "%s%s(%s)", detail, *detail ? " " : "",
			    lsc_cause_name(s->cause));
}

int rule_check_stalls(struct analysis *a, const struct rule *rule)
{
	bool any = rule->causes == UINT32_MAX;
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];
		const struct store_block *b = any ? block_that_held(a, s) : NULL;
		const char *detail = NULL;

		if (s->rule != rule)
			continue;
		if (any && !(detail = what_held(a, s, b)))
			return -ENOMEM;
		r = add_stall(a, rule, s, b, any ? s->row.duration_ns : rule_share(rule, &s->row),
			      detail, PASS_ALL);
	}
	return r;
}

bool rule_is_slow_iteration(const struct analysis *a, const struct analysis_stall *s)
{
	return turn_of(a, s) == TURN_MANY;
}

/* Also beside the rule that tells what the steps waited for: it says of none that it was short. */
int rule_check_iteration(struct analysis *a, const struct rule *rule)
{
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];

		if (s->rule == rule || (!s->rule->host && rule_could_explain(a, rule, s)))
			r = add_stall(a, rule, s, NULL, rule_share(rule, &s->row), NULL, PASS_ALL);
	}
	return r;
}

/* A stall that computes. Whether one callback did is known where a ring tells the steps. */
int rule_check_cpu(struct analysis *a, const struct rule *rule)
{
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];

		if (s->rule == rule)
			r = add_stall(a, rule, s, NULL, rule_share(rule, &s->row),
				      turn_of(a, s) == TURN_ONE
					      ? NULL
					      : "(in one callback or in several: it cannot be told "
						"here)",
				      PASS_ALL);
	}
	return r;
}

/* Also where the host took its part of a stall that something else explains. */
int rule_check_host(struct analysis *a, const struct rule *rule)
{
	int r = 0;

	for (size_t i = 0; !r && i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];
		uint64_t ns = rule_share(rule, &s->row);
		struct occurrence o = {
			.loop = s->row.loop,
			.stall = s,
			.ns = ns,
			.severity = rule_severity(rule, s->rule == rule ? s->row.duration_ns : ns),
			.inferred = s->row.inferred,
			.evidence = {"stall", s->row.id, s->row.start_ns, ns, NULL},
		};
		if (ns > HOST_MIN_NS || s->rule == rule)
			r = finding_add(a, rule, &o);
	}
	return r;
}
