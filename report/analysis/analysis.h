/* SPDX-License-Identifier: MIT */
/*
 * What happened, concluded from one capture: rows of the store related to each other, and findings.
 * Pure: reads the store, allocates, neither prints nor decides how anything looks. The same struct
 * feeds the text (report/text.c), the JSON (analysis/json.c) and the check (report/check.c).
 *
 *   analysis_run, analysis_done        the whole of it
 *   analysis_*_of                      look-ups by id
 *   report_json                        the document of docs/report-json.md
 *
 * Every array is bounded (analysis/load.c); what a bound left out is counted in `unseen`, not
 * hidden.
 */
#ifndef ANALYSIS_ANALYSIS_H
#define ANALYSIS_ANALYSIS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/arena.h"
#include "base/cause.h"
#include "base/err.h"
#include "base/loss.h"
#include "store.h"

#define ANALYSIS_VICTIMS_MAX  100  /* listed per stall; the rest is counted */
#define ANALYSIS_MARKS_MAX    100  /* listed per stall */
#define ANALYSIS_SAID_MAX     2000 /* marks listed in the JSON */
#define ANALYSIS_TASKS_MAX    2000 /* listed in the JSON */
#define ANALYSIS_BLAME_MAX    200
#define ANALYSIS_PROFILE_MAX  2000 /* stacks per loop and kind */
#define ANALYSIS_EVIDENCE_MAX 10
#define ANALYSIS_NONE	      SIZE_MAX
#define ANALYSIS_UNKNOWN      UINT64_MAX /* of a number that the capture does not hold */

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_COUNT };

/* "info", "warning", "error". Borrowed. */
const char *severity_name(enum severity s);
/* By the length of a stall: under 50 ms info, from 50 ms warning, from 100 ms error. */
enum severity severity_of(uint64_t ns);

/* The innermost frame of the application's own code. */
#define SITE_RANKS 9

/* Whose terms a fix is told in: what turns the loop. Tornado is asyncio's. */
enum family {
	FAMILY_C, /* and all that is not known */
	FAMILY_ASYNCIO,
	FAMILY_TWISTED,
	FAMILY_TRIO,
	FAMILY_GEVENT,
	FAMILY_NODE,
	FAMILY_LIBUV,
	FAMILY_LOOPSCOPE,
	FAMILY_COUNT
};

struct site {
	enum store_lang lang;
	/* "app+0x12f0" where the program has no names; file and module NULL unknown */
	const char *function, *file, *module;
	uint64_t offset; /* of its frame */
	int line;	 /* 0 unknown */
	int rank;	 /* how much it is the application's own; 0 none */
	/* Where it called a library that somebody else wrote: the frame there. Else NULL. */
	const struct store_frame *library;
	enum family framework; /* of Python, the innermost on the stack; FAMILY_C: none */
	bool from_module;      /* the stack has the module of Python that began it all */
};

struct analysis_stack {
	struct store_stack row;
	struct site site; /* function NULL: no frame has a name */
};

struct analysis_task {
	struct store_task row; /* its ready_wait is NULL: the numbers follow */
	bool has_ready_wait;
	uint64_t ready_p50_ns, ready_p99_ns, ready_max_ns, ready_total_ns;
	bool referenced; /* named by a stall, a victim or a finding */
};

struct analysis_block {
	struct store_block row;
	size_t stall; /* index, ANALYSIS_NONE outside of any */
};

struct analysis_sample { /* the samples of one stack within one stall, added up */
	struct store_sample row;
	size_t stall;
};

struct victim {
	size_t stall, wait; /* indices */
	uint64_t ns;	    /* the part of the wait that lies in the stall */
};

struct rule;

struct analysis_stall {
	struct store_stall row;
	enum severity severity;
	enum lsc_cause cause;
	const struct rule *rule; /* explains it */
	struct site site;	 /* function NULL: unknown */
	size_t first_block, nblocks, first_sample, nsamples, first_culprit, nculprits, first_victim,
		nvictims, first_mark, nmarks;
	uint64_t victim_sum_ns, victim_max_ns;
	uint64_t sampled_tasks_ns; /* of its samples, those in any task */
};

struct evidence {
	const char *kind; /* "stall" "block" "wait" "capture" */
	int64_t id;
	uint64_t start_ns, ns; /* absolute; ANALYSIS_UNKNOWN when it has no time */
	const char *text;
};

struct id_list {
	int64_t *ids; /* owns */
	size_t n;
};

struct finding {
	const struct rule *rule;
	enum severity severity;
	bool inferred;
	uint64_t count, total_ns, worst_ns;
	uint64_t longest_stall_ns; /* of those that it explains; 0 none */
	bool computes;		   /* the worst is a stall that does */
	struct site site;	   /* function NULL: unknown */
	const char *syscall;
	struct id_list loops, tasks, stalls;
	struct evidence evidence[ANALYSIS_EVIDENCE_MAX]; /* the worst */
	size_t nevidence;
	const char *subject; /* what held: site, task or loop, for the sentence */
	const char *detail;  /* of the worst: the file, the peer, the owner; NULL none */
	const char *message, *fix;
	char fingerprint[17];
};

struct blame {
	int64_t culprit, victim;		/* tasks, 0 when not a task */
	const char *culprit_name, *victim_name; /* NULL unknown */
	uint64_t count, wait_ns;
};

enum profile_kind { PROFILE_BLOCKED, PROFILE_CPU };

struct profile {
	enum profile_kind kind;
	int64_t loop;
	struct profile_stack {
		int64_t stack;
		uint64_t ns;
	} * stacks; /* the heaviest first */
	size_t nstacks, omitted;
};

struct step { /* a long step of a task, from the packed transitions */
	int64_t loop, task;
	uint64_t start_ns, end_ns;
};

struct named { /* "what is not there" and why, or a loss */
	const char *what, *why;
	uint64_t n;
};

struct overhead_step {
	uint64_t ts_ns;
	const char *what;
};

struct stack_use {	/* of the tasks that a process spawns at one place */
	int64_t target; /* 0 unknown */
	struct store_site site;
	uint64_t used, size; /* bytes: the most, of a stack of so many; 0 unknown */
};

struct analysis {
	struct arena arena;
	/* meta; texts NULL and numbers ANALYSIS_UNKNOWN when the capture does not say */
	const char *tool_version, *hostname, *kernel, *arch, *boot_id, *mode, *end_reason,
		*overhead_method;
	uint64_t cpus, start_ns, start_wall_ns, end_ns, end_wall_ns, exit_status;
	uint64_t stall_ns, block_ns, ready_wait_ns, emitted, stored, bpf, bpf_ns, cpu_ns;
	double coverage; /* -1 unknown */
	bool is_live;	 /* it is being written still */
	uint64_t lost[LSC_LOSS_COUNT], lost_total;
	/* rows, by id; blocks, samples and culprits by stall, then time; waits by loop, then time
	 */
	struct store_target *targets;
	struct store_loop *loops;
	struct analysis_task *tasks;
	struct analysis_stall *stalls; /* by time */
	struct analysis_stack *stacks;
	struct analysis_block *blocks;
	struct analysis_sample *samples;
	struct store_culprit *culprits;
	struct store_wait *waits;
	struct victim *victims;	  /* by stall, the worst first */
	struct store_mark *marks; /* by loop, then time */
	struct store_counter *counters;
	struct store_mode_span *modes;
	struct step *steps;
	struct overhead_step *overhead;
	struct stack_use *stack_uses; /* the fullest first */
	struct named *unseen, *unresolved;
	size_t ntargets, nloops, ntasks, nstalls, nstacks, nblocks, nsamples, nculprits, nwaits,
		nvictims, nmarks, ncounters, nmodes, nsteps, noverhead, nstack_uses, nunseen,
		nunresolved;
	/* conclusions */
	struct finding *findings; /* worst first */
	struct blame *blame;	  /* most first */
	struct profile *profiles;
	struct finding_slot *slots; /* findings by fingerprint, while rules run */
	size_t nfindings, nblame, blame_omitted, nprofiles;
	uint64_t stalled_ns, worst_ns;
	size_t loops_stalled;
};

/* Loads and concludes. On success ret is filled and analysis_done() frees it; otherwise it is
 * untouched. -EBADMSG when the file is damaged, -ENOMEM. */
int analysis_run(struct store *s, struct analysis *ret, struct lsc_err *err);
void analysis_done(struct analysis *a);

/* The row, or NULL. Borrowed. */
const struct store_target *analysis_target_of(const struct analysis *a, int64_t id);
const struct store_loop *analysis_loop_of(const struct analysis *a, int64_t id);
const struct analysis_stack *analysis_stack_of(const struct analysis *a, int64_t id);
/* Whether the site is of such a frame. */
bool analysis_site_is_of(const struct site *site, const struct store_frame *f);
/* The stack of who held what b waited for. Of many short waits of a stall (for CPython's lock) few
 * have one: without its own, that of the longest for the same thread. 0: none. s may be NULL. */
int64_t analysis_holder_stack(const struct analysis *a, const struct analysis_stall *s,
			      const struct store_block *b);
/* What stands for a stall's call in words: its longest block. NULL: it has none. */
const struct store_block *analysis_longest_block(const struct analysis *a,
						 const struct analysis_stall *s);
struct analysis_task *analysis_task_of(const struct analysis *a, int64_t id);

/* How long the capture lasted; ANALYSIS_UNKNOWN when it was cut off. */
uint64_t analysis_duration_ns(const struct analysis *a);

/* The document `loopscope.report/1`. Gives a new reference; NULL out of memory. */
json_t *report_json(const struct analysis *a);
/* One finding as in the report. Gives; NULL out of memory. */
json_t *report_finding_json(const struct analysis *a, const struct finding *f);

/* Sums of hostile numbers stop at the highest value. */
static inline uint64_t add_sat(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

#endif
