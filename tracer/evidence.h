/* SPDX-License-Identifier: MIT */
/*
 * What is known of a tick besides its times: blocks and samples, their stacks, the jobs that find
 * these out, and what is looked into while a block lasts. Collector thread only.
 */
#ifndef LSC_EVIDENCE_H
#define LSC_EVIDENCE_H

#include "state.h"

/* ---- evidence.c ---- */
void evidence_block(struct collector *c, struct loop *l, const struct event_block *e,
		    const void *stack, size_t size);
void evidence_sample(struct collector *c, struct loop *l, const struct event_block *e,
		     const void *stack, size_t size, unsigned int stands_for);
/* Ties the blocks and samples within [begin, end] to a stall. */
void evidence_claim(struct collector *c, struct loop *l, struct stall *s);
/* The newest sample of the tick whose stack is known or can be, or NULL. */
const struct sample *evidence_newest(const struct loop *l, uint64_t tick_ns);
/* Has a stack unwound for ongoing_stack() alone. The job's number, 0 when it was refused. */
uint64_t evidence_unwind(struct collector *c, struct loop *l, const uint64_t regs[PROBE_REGS],
			 const void *stack, size_t size);
uint64_t evidence_unwind_sample(struct collector *c, struct loop *l, const struct sample *p);
/* No block or sample of the stall waits for its stack. */
bool evidence_is_settled(const struct loop *l, const struct stall *s);
/* Some block or sample of the loop waits for its stack. */
bool evidence_is_awaited(const struct loop *l);
/* What its samples stand for: those that were left out of a long tick included. */
uint64_t evidence_sampled_ns(const struct loop *l, int64_t stall);
const struct block *evidence_longest(const struct loop *l, int64_t stall);
/* The block whose stack and task stand for the stall: the longest, or where most of it was many
 * alike (the waits for CPython's lock) the longest of these that was looked into. NULL: none. */
const struct block *evidence_telling(const struct loop *l, int64_t stall, enum lsc_cause top);
const struct sample *evidence_heaviest(const struct loop *l, int64_t stall);
/* The task that all samples of the stall were in of which it is known; 0: none, or several. */
int64_t evidence_sampled_task(const struct loop *l, int64_t stall);
/* Writes the stall's samples and forgets its evidence. */
void evidence_release(struct collector *c, struct loop *l, int64_t stall);
/* Blocks and samples of ticks before this one that no stall claimed: final. */
void evidence_retire(struct collector *c, struct loop *l, uint64_t before_ns);
void evidence_drop_loop(struct collector *c, struct loop *l);
/* The frames of a block or a sample are known, or are not to be had. */
void evidence_block_found(struct collector *c, struct loop *l, const struct inspector_result *r);
void evidence_sample_found(struct collector *c, const struct job *j,
			   const struct inspector_result *r);
/* Writes a block again: its stall, its stack or its owner is known now. */
void evidence_put_block(struct collector *c, struct block *b);

/* ---- stacks.c ---- */
/* The id of these frames, stored now if they are new. 0 when out of memory. */
int64_t stack_intern(struct collector *c, const struct store_frame *frames, size_t nframes,
		     bool truncated);
int64_t stack_intern_result(struct collector *c, const struct inspector_result *r);
/* Its leaf frames as live lines tell them: the caller frees each. Their number. */
size_t stack_names(const struct inspector_result *r, const char *ret[LIVE_FRAMES]);
/* Stores its frames anew: more of their names are known. */
void stack_rename(struct collector *c, int64_t id, const struct inspector_result *r);
/* A stored stack, NULL for 0. */
const struct known_stack *stack_of(const struct collector *c, int64_t id);
void stacks_free(struct collector *c);

/* ---- jobs.c ---- */
/* A new job, not yet known by its cookie; NULL out of memory. */
struct job *job_new(struct collector *c, struct loop *l, enum job_kind kind);
/* NULL: it is answered. */
const struct job *job_of(const struct collector *c, uint64_t cookie);
/* It is still being found out where the interpreter of some target keeps its frames. */
bool jobs_seek_runtime(const struct collector *c);
/* Takes j, which the inspector was asked to do with the result r. Its cookie, 0 when it was refused
 * (and counted). */
uint64_t job_begin(struct collector *c, struct job *j, int r);
/* Hands a raw stack to the inspector. The job's number, 0 when it was refused (and counted). */
uint64_t job_unwind(struct collector *c, struct loop *l, enum job_kind kind, const uint64_t *regs,
		    const void *stack, size_t size);
/* The same with the frames of Python that were taken with it. */
uint64_t job_unwind_python(struct collector *c, struct loop *l, enum job_kind kind,
			   const uint64_t *regs, const struct inspector_chain *chain,
			   const void *stack, size_t size);
void job_result(const struct inspector_result *r, void *arg);
/* The loop ends: what is under way for it is lost, and counted. */
void jobs_drop_loop(struct collector *c, const struct loop *l);
/* Serves the inspector, and tells which debug files have not come. */
void jobs_dispatch(struct collector *c);
/* The capture ends: those that have not come by now are told, too. */
void jobs_end(struct collector *c);
void jobs_free(struct collector *c);

/* ---- rewalk.c ---- */
/* A copy that may have to be walked again, owned by the caller. NULL: it need not be, or cannot. */
struct rewalk *rewalk_copy(struct collector *c, const struct loop *l, const uint64_t *regs,
			   const void *stack, size_t size);
/* NULL is fine. */
void rewalk_drop(struct collector *c, struct rewalk *w);
/* Takes w, whose walk had that result and was stored as that stack of the loop: it is kept if a
 * debug file is on its way that may name more of it. */
void rewalk_keep(struct collector *c, struct loop *l, struct rewalk *w, int64_t stack,
		 const struct inspector_result *r);
/* Walks what is kept again, if a file has come since. */
void rewalk_steer(struct collector *c);
void rewalk_found(struct collector *c, struct rewalk *w, const struct inspector_result *r);
/* The capture ends: what is kept by now stays without names, which is counted. */
void rewalk_end(struct collector *c);
void rewalks_free(struct collector *c);

/* ---- inquiry.c ---- */
/* Has the stack that a thread idles in unwound, for nothing: what that takes, reading the symbols
 * of its runtime above all, is then done when a first block is to be looked into while it lasts. */
void inquiry_warm_up(struct collector *c, const struct target *t, int tid);
/* The same of a program that begins, as far as that can be: node's file is indexed while it
 * starts. */
void inquiry_begin_program(struct collector *c, const struct target *t);
/* Looks into blocks that last: where in the kernel, who holds the lock. */
void inquiry_steer(struct collector *c, uint64_t now);
/* Younger blocks are not looked into. */
uint64_t inquiry_least_ns(const struct collector *c);
/* The sampler met the owner of a lock that a loop waits for. */
void inquiry_sample(struct collector *c, struct loop *l, const struct event_block *e,
		    const void *stack, size_t size);
/* The frames of an owner, or of the loop itself. */
void inquiry_result(struct collector *c, const struct job *j, const struct inspector_result *r);
/* What was read of the thread is kept, and answered later: now is to be judged whether it slept. */
void inquiry_kept(struct collector *c, struct job *j, const struct inspector_result *r);
/* The block is over: what was found out goes into its row. chained: its frames of Python were taken
 * when it began. */
void inquiry_close(struct collector *c, struct loop *l, const struct event_block *e, bool chained,
		   struct block *b);
/* The loop ends. */
void inquiry_end(struct collector *c, struct loop *l);

/* ---- deep.c ---- */
/* The block that goes on is deeper than its copy, and all of its stack was not asked for. */
bool deep_is_wanted(const struct loop *l);
void deep_ask(struct collector *c, struct loop *l);
/* The answer: first the copy, if there is one, then that it was all. */
void deep_result(struct collector *c, const struct job *j, const struct inspector_result *r);
/* Puts what was read of the block's stack, which stays the loop's, in place of its copy. False:
 * there is no such thing. */
bool deep_take(const struct loop *l, const struct event_block *e, const void **stack, size_t *size);
void deep_forget(struct loop *l);

/* ---- asleep.c ---- */
/* The loop is still in the block that began at off_ns. */
bool asleep_in_block(struct collector *c, const struct loop *l, uint64_t off_ns);
/* Whether the block that it is in lacks its stack, and nobody reads it. */
bool asleep_is_wanted(const struct loop *l);
/* Has it read, if the loop sleeps. */
void asleep_ask(struct collector *c, struct loop *l);
/* The loop is in that block still, and has not run since before its stack was read. */
bool asleep_stood(struct collector *c, const struct job *j);
/* The answer. q is the block's inquiry; NULL: the block has a row by now. */
void asleep_result(struct collector *c, const struct job *j, struct inquiry *q,
		   const struct inspector_result *r);
/* The block is over: what its row has of that; or why not, which is counted. chained as in
 * inquiry_close(). */
void asleep_close(struct collector *c, const struct loop *l, const struct inquiry *q, bool chained,
		  struct block *b);

#endif
