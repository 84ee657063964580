/* SPDX-License-Identifier: MIT */
/*
 * Judges an analysis by budgets. What the host did never fails a budget, and a capture that saw too
 * little never passes one: then the verdict is inconclusive.
 */
#ifndef LSC_REPORT_CHECK_H
#define LSC_REPORT_CHECK_H

#include <jansson.h>
#include <stdio.h>

#include "analysis/analysis.h"
#include "text.h"

#define CHECK_BUDGETS_MAX 16

enum check_status { CHECK_PASS, CHECK_FAIL, CHECK_INCONCLUSIVE };

struct check_budget {
	const char *text; /* borrows; as written: "50ms", "error=0" */
	bool findings;	  /* max-findings; else max-stall */
	uint64_t limit;	  /* ns, or a number of findings */
	enum severity severity;
	/* filled by check_judge() */
	enum check_status status;
	uint64_t measured;
	bool unrecorded; /* a loop was held for longer than the limit, and not long enough to be
			    told */
};

struct check {
	struct check_budget budgets[CHECK_BUDGETS_MAX];
	size_t nbudgets;
	/* filled by check_judge() */
	enum check_status status;
	bool partial; /* set by the caller: ended before the time that was asked for */
	/* filled by check_judge() */
	bool cut_off;	 /* the capture has no end */
	bool *concerned; /* owns; one per finding */
};

/* "50ms"; "error=0". 0, -EINVAL, -E2BIG. */
int check_add_max_stall(struct check *c, const char *text);
int check_add_max_findings(struct check *c, const char *text);

/* Without any budget, error=0 is taken. 0 or -ENOMEM. */
int check_judge(struct check *c, const struct analysis *a);
void check_done(struct check *c);

/* One line a budget, reasons, and the findings concerned. */
void check_print(const struct check *c, const struct analysis *a,
		 const struct text_options *options, FILE *out);

/* The document `loopscope.check/1`. command_status -1: no command. Gives; NULL out of memory. */
json_t *check_json(const struct check *c, const struct analysis *a, const char *name,
		   int command_status, int exit_status);

#endif
