/* SPDX-License-Identifier: MIT */
/*
 * Rules conclude findings from what was related. A rule is one row of the table in rules.c and a
 * check function; docs/adding-a-rule.md shows how. Ids are a contract: never changed, never reused.
 */
#ifndef ANALYSIS_RULES_H
#define ANALYSIS_RULES_H

#include "analysis/analysis.h"

struct rule {
	const char *id;
	const char *summary; /* what it finds, for docs and lists */
	const char *did;     /* the sentence: "<subject> <did> for up to ..." */
	uint32_t causes;     /* bits of the causes by which it explains a stall; 0 explains none */
	uint64_t min_ns;     /* of those causes within the stall */
	enum severity worst; /* its severity is never above */
	bool host;	     /* the host's doing, never the application's */
	bool own; /* its fix is for who wrote the call, not for who uses a library that makes it */
	/* What else must hold for it to explain a stall; NULL nothing. */
	bool (*explains)(const struct analysis *a, const struct analysis_stall *s);
	int (*check)(struct analysis *a, const struct rule *rule);
	const char *fix[FAMILY_COUNT]; /* NULL: as for FAMILY_C */
};

#define CAUSE_BIT(cause) (1u << (cause))
#define CPU_CAUSES	 (CAUSE_BIT(LSC_CAUSE_CPU_USER) | CAUSE_BIT(LSC_CAUSE_CPU_KERNEL))

extern const struct rule rule_table[];
extern const size_t rule_count;

/* The rule of an id of the table. */
const struct rule *rule_of(const char *id);
/* The time within the stall that belongs to the rule's causes. */
uint64_t rule_share(const struct rule *r, const struct store_stall *stall);
/* Its causes hold half of the stall, and what else it asks for holds. */
bool rule_could_explain(const struct analysis *a, const struct rule *r,
			const struct analysis_stall *s);
enum severity rule_severity(const struct rule *r, uint64_t ns);

/* check functions */
int rule_check_blocks(struct analysis *a, const struct rule *rule);
int rule_check_stalls(struct analysis *a, const struct rule *rule);
bool rule_is_slow_iteration(const struct analysis *a, const struct analysis_stall *s);
int rule_check_iteration(struct analysis *a, const struct rule *rule);
int rule_check_cpu(struct analysis *a, const struct rule *rule);
int rule_check_host(struct analysis *a, const struct rule *rule);
int rule_check_starvation(struct analysis *a, const struct rule *rule);
int rule_check_blind(struct analysis *a, const struct rule *rule);

/* One thing that a rule saw. Occurrences with the same rule, site and syscall are one finding. */
struct occurrence {
	int64_t loop, task;		    /* 0 none */
	const struct analysis_stall *stall; /* that it explains or lies in; NULL none */
	struct site site; /* function NULL: unknown, then the task stands for it */
	const char *syscall, *detail;
	uint64_t ns;
	enum severity severity;
	bool inferred;
	struct evidence evidence;
};

/* finding.c */
/* Whether it is not known where it happened: the stack was lost. */
bool finding_is_placeless(const struct occurrence *o);
/* It gets the site of the one finding of this rule with the same loop, task, call and resource, and
 * is inferred then; without one, or with several, its sentence says that the stack is not known. 0
 * or -ENOMEM. */
int finding_place(struct analysis *a, const struct rule *rule, struct occurrence *o);
int finding_add(struct analysis *a, const struct rule *rule, const struct occurrence *o);
/* Adds id once; ids of 0 are passed over. 0 or -ENOMEM. */
int id_list_add(struct id_list *l, int64_t id);
/* Sentences, fixes and order, when all rules have run. */
int finding_finish_all(struct analysis *a);
/* Of a block: the file, the peer, the owner of the lock, the child. "" none; NULL out of memory. s
 * is the stall around it, or NULL. */
const char *finding_detail(struct analysis *a, const struct analysis_stall *s,
			   const struct store_block *b);

#endif
