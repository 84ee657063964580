/* SPDX-License-Identifier: MIT */
/* Budgets: parsing, judging, and the verdict as text and JSON. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/json_rows.h"
#include "analysis/rules.h"
#include "base/clock.h"
#include "base/duration.h"
#include "text.h"

#define FINDINGS_SHOWN 20 /* as the report */

static const char *const statuses[] = {"pass", "fail", "inconclusive"};

static int add(struct check *c, const struct check_budget *b)
{
	if (c->nbudgets == CHECK_BUDGETS_MAX)
		return -E2BIG;
	c->budgets[c->nbudgets++] = *b;
	return 0;
}

int check_add_max_stall(struct check *c, const char *text)
{
	struct check_budget b = {.text = text};
	int r = lsc_duration_parse(text, LSC_NS_PER_MS, &b.limit);

	return r < 0 ? -EINVAL : add(c, &b);
}

int check_add_max_findings(struct check *c, const char *text)
{
	struct check_budget b = {.text = text, .findings = true, .severity = SEVERITY_COUNT};
	const char *equal = strchr(text, '=');
	char *end;

	for (int s = 0; equal && s < SEVERITY_COUNT; s++) {
		const char *name = severity_name((enum severity)s);

		if (strlen(name) == (size_t)(equal - text) && !strncmp(text, name, strlen(name)))
			b.severity = (enum severity)s;
	}
	if (b.severity == SEVERITY_COUNT || equal[1] < '0' || equal[1] > '9')
		return -EINVAL;
	errno = 0;
	b.limit = strtoull(equal + 1, &end, 10);
	return *end || errno ? -EINVAL : add(c, &b);
}

static bool counts(const struct finding *f)
{
	return !f->rule->host && strcmp(f->rule->id, "blind") != 0;
}

/* A stall longer than the limit may lie below the threshold that was recorded from. Of 0 it is not
 * asked: that is "no stall". */
static bool is_unrecorded(const struct check_budget *b, const struct analysis *a)
{
	if (!b->limit || a->stall_ns == ANALYSIS_UNKNOWN || b->limit >= a->stall_ns)
		return false;
	for (size_t i = 0; i < a->nloops; i++)
		if (!a->loops[i].lag || a->loops[i].lag->max_ns > b->limit)
			return true;
	return false;
}

static void judge_stalls(struct check *c, struct check_budget *b, const struct analysis *a)
{
	bool host = false;

	for (size_t i = 0; i < a->nstalls; i++) {
		const struct analysis_stall *s = &a->stalls[i];

		if (s->rule->host) {
			host |= s->row.duration_ns > b->limit;
			continue;
		}
		if (s->row.duration_ns > b->measured)
			b->measured = s->row.duration_ns;
	}
	for (size_t i = 0; i < a->nfindings; i++)
		c->concerned[i] |=
			counts(&a->findings[i]) && a->findings[i].longest_stall_ns > b->limit;
	b->unrecorded = b->measured <= b->limit && is_unrecorded(b, a);
	b->status = b->measured > b->limit  ? CHECK_FAIL
		    : host || b->unrecorded ? CHECK_INCONCLUSIVE
					    : CHECK_PASS;
}

static void judge_findings(struct check *c, struct check_budget *b, const struct analysis *a)
{
	for (size_t i = 0; i < a->nfindings; i++)
		b->measured += counts(&a->findings[i]) && a->findings[i].severity >= b->severity;
	b->status = b->measured > b->limit ? CHECK_FAIL : CHECK_PASS;
	for (size_t i = 0; b->status == CHECK_FAIL && i < a->nfindings; i++)
		c->concerned[i] |=
			counts(&a->findings[i]) && a->findings[i].severity >= b->severity;
}

int check_judge(struct check *c, const struct analysis *a)
{
	bool *concerned = calloc(a->nfindings + 1, sizeof(*concerned));
	bool failed = false, cut_off = a->end_ns == ANALYSIS_UNKNOWN;
	bool unsure = cut_off || c->partial;

	if (!concerned)
		return -ENOMEM;
	free(c->concerned);
	c->concerned = concerned;
	c->cut_off = cut_off;
	if (!c->nbudgets)
		check_add_max_findings(c, "error=0");
	for (size_t i = 0; i < c->nbudgets; i++) {
		struct check_budget *b = &c->budgets[i];

		b->measured = 0;
		if (b->findings)
			judge_findings(c, b, a);
		else
			judge_stalls(c, b, a);
		failed |= b->status == CHECK_FAIL;
		unsure |= b->status == CHECK_INCONCLUSIVE;
	}
	for (size_t i = 0; i < a->nfindings; i++)
		if (!strcmp(a->findings[i].rule->id, "blind"))
			unsure = concerned[i] = true;
	c->status = failed ? CHECK_FAIL : unsure ? CHECK_INCONCLUSIVE : CHECK_PASS;
	return 0;
}

void check_done(struct check *c)
{
	free(c->concerned);
	c->concerned = NULL;
}

static void print_budget(const struct check_budget *b, enum check_status status, uint64_t stall_ns,
			 bool color, FILE *out)
{
	static const char *const words[] = {"PASS", "FAIL", "UNSURE"};
	static const char *const codes[] = {"\033[1;32m", "\033[1;31m", "\033[1;33m"};
	char worst[32];

	fprintf(out, "%s%s%s max-%s %s: ", color ? codes[status] : "", words[status],
		color ? "\033[0m" : "", b->findings ? "findings" : "stall", b->text);
	if (b->findings)
		fprintf(out, "%llu found\n", (unsigned long long)b->measured);
	else if (b->unrecorded)
		fprintf(out,
			"loops were held for longer, but stalls are recorded from %s on only\n",
			lsc_duration_format(stall_ns, worst, sizeof(worst)));
	else if (b->status == CHECK_INCONCLUSIVE)
		fputs("longer stalls are the host's doing, not the program's\n", out);
	else if (b->measured)
		fprintf(out, "worst %s\n", lsc_duration_format(b->measured, worst, sizeof(worst)));
	else
		fputs("no stall\n", out);
}

/* The worst come first. */
static void print_findings(const struct check *c, const struct analysis *a,
			   const struct text_options *options, FILE *out)
{
	size_t n = 0;

	for (size_t i = 0; i < a->nfindings; i++) {
		if (!c->concerned[i] || n++ >= FINDINGS_SHOWN)
			continue;
		fputc('\n', out);
		text_finding(&a->findings[i], options, out);
	}
	if (n > FINDINGS_SHOWN)
		fprintf(out, "\n  and %zu more of lower weight: --json has them all\n",
			n - FINDINGS_SHOWN);
}

void check_print(const struct check *c, const struct analysis *a,
		 const struct text_options *options, FILE *out)
{
	bool unrecorded = false;

	/* a budget that was kept as far as one saw is no pass */
	for (size_t i = 0; i < c->nbudgets; i++) {
		enum check_status status = c->budgets[i].status;
		unrecorded |= c->budgets[i].unrecorded;
		if (status == CHECK_PASS && c->status == CHECK_INCONCLUSIVE)
			status = CHECK_INCONCLUSIVE;
		print_budget(&c->budgets[i], status, a->stall_ns, options->color, out);
	}
	if (c->partial)
		fputs("interrupted: the rest of the time was not watched\n", out);
	if (c->cut_off)
		fprintf(out, "the capture %s: what comes after is not known\n",
			a->is_live ? "is still being written" : "was cut off");
	if (c->status == CHECK_INCONCLUSIVE)
		fputs(unrecorded ? "inconclusive: record with a lower --stall to judge by that "
				   "budget\n"
				 : "inconclusive: too little was seen to call this a pass\n",
		      out);
	print_findings(c, a, options, out);
}

static json_t *budget_json(const struct check_budget *b)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "budget",
			 b->findings ? "max-findings" : "max-stall", "text", json_text(b->text),
			 "severity",
			 b->findings ? json_string(severity_name(b->severity)) : json_null(),
			 "limit", json_count(b->limit), "measured", json_count(b->measured),
			 "status", statuses[b->status]);
}

json_t *check_json(const struct check *c, const struct analysis *a, const char *name,
		   int command_status, int exit_status)
{
	json_t *budgets = json_array(), *findings = json_array();
	int r = budgets && findings ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < c->nbudgets; i++)
		r = json_put(budgets, budget_json(&c->budgets[i]));
	for (size_t i = 0; !r && i < a->nfindings; i++)
		if (c->concerned[i])
			r = json_put(findings, report_finding_json(a, &a->findings[i]));
	if (r < 0) {
		json_decref(budgets);
		json_decref(findings);
		return NULL;
	}
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:s, s:i, s:o, s:o, s:b, s:o, s:o}", "schema",
			 "loopscope.check/1", "tool", "name", "loopscope", "version", LSC_VERSION,
			 "capture", json_text(name), "status", statuses[c->status], "exit_status",
			 exit_status, "command_status",
			 command_status < 0 ? json_null() : json_integer(command_status),
			 "coverage", a->coverage < 0 ? json_null() : json_real(a->coverage),
			 "cut_off", c->cut_off, "budgets", budgets, "findings", findings);
}
