/* SPDX-License-Identifier: MIT */
/* Answers to jobs, each of which gets its last one exactly once. */
#ifndef LSC_INSPECT_REPLY_H
#define LSC_INSPECT_REPLY_H

#include "inspect/state.h"

/* Both take job, which is in no list any more. */
void reply(struct inspector *ins, struct job *job, const struct inspector_result *result);
void reply_why(struct inspector *ins, struct job *job, const char *why);

/* Answers all jobs of a process that wait for the worker. */
void reply_target(struct inspector *ins, int pid, const char *why);
/* Answers all jobs that cannot get frames any more. */
void reply_overdue(struct inspector *ins, uint64_t now_ns);

#endif
