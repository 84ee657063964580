/* SPDX-License-Identifier: MIT */
/* blind: whether the capture saw enough for "nothing found" to mean that nothing was there. */
#include "analysis/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analysis/internal.h"
#include "base/duration.h"

#define COVERAGE_MIN 0.95

static int add_reason(struct analysis *a, const struct rule *rule, enum severity severity,
		      const char *text)
{
	const struct occurrence o = {
		.severity = severity,
		.evidence = {"capture", 0, ANALYSIS_UNKNOWN, ANALYSIS_UNKNOWN, text},
	};
	int r = text ? finding_add(a, rule, &o) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < a->nfindings; i++) {
		struct finding *f = &a->findings[i];

		if (f->rule != rule)
			continue;
		f->message =
			f->message ? arena_printf(&a->arena, "%s; %s", f->message, text) : text;
		if (!f->message)
			return -ENOMEM;
	}
	return 0;
}

/* Of a program that did not live for long there was little to find. NULL out of memory. */
static const char *no_loop(struct analysis *a)
{
	uint64_t ns = analysis_duration_ns(a);
	char duration[32];

	if (!a->end_reason || strcmp(a->end_reason, "target-exit") != 0 || ns == ANALYSIS_UNKNOWN)
		return "no event loop was found";
	return arena_printf(&a->arena, "no event loop was found until the program ended, after %s",
			    lsc_duration_format(ns, duration, sizeof(duration)));
}

int rule_check_blind(struct analysis *a, const struct rule *rule)
{
	int r = 0;

	if (!a->nloops)
		r = add_reason(a, rule, SEVERITY_WARNING, no_loop(a));
	if (!r && a->coverage >= 0 && a->coverage < COVERAGE_MIN)
		r = add_reason(a, rule, SEVERITY_WARNING,
			       arena_printf(&a->arena, "coverage is %.1f %%, below %.0f %%",
					    a->coverage * 100, COVERAGE_MIN * 100));
	/* a capture that was cut off has none yet; that is said elsewhere */
	if (!r && a->coverage < 0 && a->end_ns != ANALYSIS_UNKNOWN)
		r = add_reason(a, rule, SEVERITY_WARNING, "coverage is not known");
	if (!r && a->bpf == 0)
		r = add_reason(a, rule, SEVERITY_INFO,
			       "no kernel events: blocks and their causes could not be seen");
	return r;
}
