/* SPDX-License-Identifier: MIT */
/*
 * What the files of the collector share: the state of a job. Internal to tracer/.
 *   collector.c  start, time, end          watch.c    targets, threads and loops
 *   intake.c     events on their way in    evidence.c blocks, samples
 *   stacks.c     frames, each stack once   jobs.c     questions to the inspector (these:
 * evidence.h) inquiry.c    blocks while they last    stall.c    ticks that became stalls precise.c
 * the precise mode          feed.c     rings, found by feed_find.c ledger.c     what was lost, the
 * host   victim.c   sockets and timers that waited overhead.c   what watching costs       ongoing.c
 * stalls that still go on gil.c        CPython's lock             host.c     what the host took
 *   task.c       tasks of loops without a ring  chain.c  frames of Python in samples
 *   callback.c   callbacks of loops in C    said.c     marks and counters of applications
 */
#ifndef LSC_STATE_H
#define LSC_STATE_H

#include <uthash.h>

#include "collector.h"
#include "decode.h"
#include "futex.h"
#include "host.h"
#include "inspect/inspector.h"
#include "look.h"
#include "overhead.h"
#include "quota.h"
#include "probe.h"
#include "thread.h"
#include "selection.h"
#include "target.h"

#define HELD_MAX	  64  /* events kept back per loop until its primary wait is confirmed */
#define BLOCKS_MAX	  512 /* blocks kept per loop until their tick is over */
#define SAMPLES_MAX	  256 /* samples kept per loop until their tick is over */
#define PAST_INQUIRIES	  8   /* of blocks whose events are held back */
#define TOLD_STALLS	  64
#define FLEETING	  16 /* samples at the begin of a tick that are all unwound at once */
#define STALL_SAMPLES_MAX 32 /* samples of a stall that are unwound */
#define SAMPLE_NS	  4000000ull /* the sampler's period */
#define LIVE_FRAMES	  12
#define SETTLE_NS	  400000000ull /* a stall waits this long for its stacks and its ring */
#define TELL_NS		  60000000ull /* a stall is told so long after its end, with what is known */

struct sample {
	struct store_sample row;
	uint32_t ring_task;
	uint64_t tick_ns;
	uint64_t job;
	size_t stack_size;
	int broken; /* the stack lacks frames: outer ones (1), all of its language (2) */
	uint64_t regs[PROBE_REGS];
	uint8_t *stack;			/* owned; the copy, until it is unwound */
	struct inspector_chain *python; /* owned; its frames of Python, NULL unknown */
};

/* Who holds the lock that a block waits for. */
struct owner {
	struct futex_owner lock;  /* ns_tid 0: nobody is named */
	uint64_t word, op, value; /* the call's arguments: futex, operation, value */
	uint64_t gil; /* not 0: CPython's lock, which names this thread state at `word` */
	int tid;      /* 0: unknown */
	char comm[16];
	bool foreign; /* another process's thread */
};

/* What is found out about a block while it lasts. */
struct inquiry {
	uint64_t off_ns;		   /* when the block began; 0: none */
	uint64_t next_ns;		   /* when to look again */
	int64_t kernel_stack, owner_stack; /* 0 none (yet) */
	int peer; /* the process at the other end of the pipe, the child; 0 unknown */
	char peer_comm[16];
	struct owner owner;
	uint64_t job; /* the owner's stack under way, 0 none */
	/* the loop's own, of a program in Python or JavaScript alone */
	int64_t stack, task; /* 0 none (yet) */
	uint64_t own_job;    /* that stack under way, 0 none */
	uint64_t copy_job;   /* all of that stack under way, 0 none */
	unsigned int tries;
	const char *broken; /* why it ends too soon: another look may tell more; NULL it does not */
	const char *why;    /* it lacks frames of these; NULL: unknown, or it has */
	bool asked;	    /* the two were looked for */
	bool cut;	    /* the kernel side copied a part of the loop's own stack alone */
	bool missed;	    /* the owner ran while its stack was read */
};

struct held_event {
	size_t size;
	struct event *event;	 /* owned */
	unsigned int stands_for; /* so many samples */
};

/* A tick over the threshold whose evidence is still coming. */
struct stall {
	struct store_stall row;
	struct loop *loop;
	uint64_t settle_ns; /* when it is written at the latest */
	uint64_t tell_ns;   /* when it is told at the latest */
	bool told;
	uint64_t samples_user, samples_kernel;
	uint32_t ring_task;
	struct stall *next;
};

/* How a loop and the precise mode get on. */
struct precise_turn {
	bool asked;		      /* in the span that is armed, or was last */
	uint64_t idle_ns;	      /* at the begin of the span, or when it was judged */
	uint64_t stalls;	      /* at the begin of the span */
	bool saturated;		      /* it gets glances */
	uint64_t glance_ns;	      /* the begin of the one under way, 0: none is */
	uint64_t judged_ns;	      /* since when it is looked whether it sleeps again */
	uint64_t paused_ns, pause_ns; /* since when it pauses, 0: it does not; for how long */
	uint64_t turn_ns;	      /* of about its longest turns, by the glances; 0 unknown */
	uint64_t wanted_ns, wanted_idle_ns; /* when it was last held, and had idled till then */
};

/* How long something is kept that was wanted for a held loop. */
struct hold {
	uint64_t last_ns; /* when it was wanted last, 0: it is not */
	uint64_t until_ns;
	uint64_t rest_ns; /* ... where all loops rest */
};

/* The tick that a loop is in, while it is announced. */
struct ongoing {
	uint64_t tick_ns;  /* its begin; 0: none was worth a look yet */
	uint64_t next_ns;  /* its length when it is announced next */
	uint64_t check_ns; /* not looked at before */
	uint64_t until_ns; /* an announcement waits so long for its stack; 0: none is under way */
	uint64_t job;	   /* its stack job, 0 none */
	int64_t stack;
};

struct loop {
	int64_t id;
	struct target *target;
	int tid, ns_tid;
	char comm[16];
	bool kernel;	/* seen by kernel events */
	bool announced; /* told to the client */
	bool exited;
	bool replaced; /* the kernel side's account is of the program that came after */
	int class, nr, fd, confidence;
	bool main;
	bool forced; /* a loop because the user says so */
	bool seeded; /* it idled there when the capture began */
	uint64_t first_ns, last_ns;
	uint64_t late_ns; /* from the begin of the watch until it was met: held then, or no loop */
	uint64_t stall_count, stalled_ns;
	struct precise_turn precise;
	uint64_t unsure_ns;	    /* besides the kernel side's own account */
	struct thread_state totals; /* of the kernel side, as last read */
	struct held_event held[HELD_MAX];
	size_t nheld;
	uint64_t held_lost;
	struct block *blocks; /* newest first */
	size_t nblocks;
	struct sample *samples; /* array, oldest first */
	size_t nsamples;
	struct stall *stalls;
	struct told_stalls { /* the last ones by the kernel's account: a ring that is found later
				has them, too */
		struct told_stall {
			uint64_t begin_ns, end_ns;
		} stall[TOLD_STALLS];
		unsigned int count; /* ever */
	} told;
	struct inquiry inquiry;
	struct deep_copy *deep; /* owned; of the last block that was deeper than its copy */
	struct inquiry past[PAST_INQUIRIES]; /* of blocks whose events are still on their way */
	unsigned int npast;		     /* so many were put there; the oldest gives way */
	struct event_python *chain, *block_chain; /* owned; the last ones, for what follows them */
	struct { /* the last block whose frames of Python were told: one alike has the same stack */
		struct inspector_chain *chain; /* owned; NULL none yet */
		uint64_t pc, sp, tick_ns;
		int64_t block; /* its id */
	} alike;
	bool python;		/* the kernel side knows where its thread's state of CPython lies */
	bool loses_code;	/* code of Python was freed before a sample's frames had names */
	struct met_task *tasks; /* owned; hash of those of a loop without a ring */
	uint32_t next_task;
	struct home *homes;	    /* owned; the stacks that it idles with */
	struct home *doubtful;	    /* owned; one that is not certain yet */
	bool of_libuv;		    /* turns it, as the homes say */
	uint64_t home_ns, home_job; /* the next look for one; the one under way, 0 none */
	unsigned int home_looks;
	int sampled, sampled_ns_tid; /* the owner that the sampler looked for last, 0 none */
	bool sampling;		     /* and still does */
	uint64_t gil_due_ns;	     /* no wait for CPython's lock is looked into before */
	struct ongoing ongoing;
	struct feed *feed;	 /* its ring, NULL none */
	uint64_t ring_seen_ns;	 /* the last scan in which the target had that ring */
	struct victims *victims; /* owned; who waited for it, NULL nobody yet */
	uint64_t watched_ns;	 /* when its sockets were last looked through */
	uint64_t finish_ns;	 /* its thread has ended: its stacks are waited for until then */
	struct loop *next_ended;
	UT_hash_handle hh; /* by tid */
};

struct known_stack { /* frames that were stored already */
	uint64_t hash[2];
	int64_t id;
	const char *frame[LIVE_FRAMES]; /* owned; the leaf frames for live lines */
	size_t nframes;
	UT_hash_handle hh;
};

enum job_kind {
	JOB_BLOCK,
	JOB_SAMPLE,
	JOB_OWNER,
	JOB_GIL,
	JOB_ONGOING,
	JOB_OWN,
	JOB_WARM,
	JOB_HOME,
	JOB_COPY,
	JOB_REWALK,
};

struct job { /* a stack under way in the inspector */
	uint64_t cookie;
	struct loop *loop; /* NULL: it ended meanwhile */
	enum job_kind kind;
	struct owner owner;    /* JOB_OWNER: whose stack it should be */
	struct look_view seen; /* ... read while it slept like this; tid 0: a copy */
	uint64_t off_ns;       /* JOB_OWN, JOB_COPY: the loop's block */
	bool stood;	       /* it slept on until what was read of it was kept */
	int64_t target;	       /* JOB_GIL: no stack; whose lock is looked for */
	int tid; /* ... and the state of this thread; JOB_WARM: a program that begins */
	struct rewalk *rewalk; /* JOB_BLOCK, JOB_SAMPLE: owned, or NULL; JOB_REWALK: borrowed */
	UT_hash_handle hh;
};

/* Of one frame on a stack. */
struct callback_place {
	uint64_t sp, offset;
};

struct collector {
	struct collector_options o;
	int *tids, *loop_threads;
	struct selection *selection; /* NULL: the processes were all named by number */
	const struct collector_ops *ops;
	void *arg;
	int epoll;
	struct probe *probe; /* NULL without BPF */
	struct look *look;   /* NULL: threads cannot be looked at */
	struct inspector *inspector;
	const char *missed_why; /* the last notice about debug files; a constant; NULL none */
	struct store *store;
	struct target **targets; /* owned, each with a pidfd in epoll */
	struct target *by_pid;	 /* hash of them */
	size_t ntargets, alive;
	size_t refused;		/* selected processes that could not be watched */
	struct lsc_err refusal; /* of the last of them */
	struct loop *loops;	/* hash by tid of all loops that live */
	struct loop *ended;	/* list of those whose stacks are still under way */
	size_t nloops;
	int64_t next_loop, next_target, next_block, next_stall, next_stack, next_sample, next_wait,
		next_chunk;
	struct known_stack *stacks;
	struct job *jobs;
	uint64_t next_cookie;
	struct rewalk *rewalks; /* owned; kept until their debug files have come */
	size_t nrewalks;	/* with those of jobs */
	uint32_t rewalk_edition;
	uint64_t start_ns, ready_at_ns, next_commit_ns, next_select_ns;
	int64_t start_wall_ns;
	bool ready, some_running;
	uint64_t emitted;  /* by the kernel side, before the ring was last read */
	bool more_events;  /* than were taken in the last turn */
	struct quota room; /* for new loops */
	bool told_room;
	/* ledger */
	uint64_t stored, lost[LSC_LOSS_COUNT];
	uint64_t committed; /* of stored: safe from a failing disk */
	uint64_t ring_emitted;
	uint64_t stalls, blocks, samples, worst_ns;
	uint64_t unsure_ns, watched_ns; /* of loops that ended */
	uint64_t no_stack;		/* blocks without a stack copy, since it was put */
	uint64_t no_room;		/* loops without room for stack copies, the same */
	uint64_t sockets_full;		/* waits of sockets without room, as far as put */
	/* looks at blocks that last */
	uint64_t look_second_ns;
	unsigned looks; /* in that second */
	bool no_kernel_stacks;
	struct overhead *overhead;
	uint64_t sample_ns;    /* what a sample stands for */
	uint64_t block_ns;     /* blocks are recorded from here on: o.block_ns, until that costs too
				  much */
	struct host_look host; /* as last looked at: each second, and when a tick gets long */
	/* precise mode */
	bool imprecise; /* it is not to be armed */
	uint64_t armed_ns, disarmed_ns;
	struct hold armed, waking, sampled;
	uint64_t span_ns; /* since when it is looked at who is saturated */
	int64_t armed_loop;
	uint64_t held_at_ns; /* when the first running tick will have lasted for half the threshold
			      */
	bool paused;	     /* some loop was saturated */
	uint64_t next_walk_ns;	/* sockets are not looked through before */
	uint64_t scans_paid_ns; /* nor descriptors for rings */
	size_t scan_first;	/* the target that is looked at first then */
	bool no_victims;	/* said already that sockets cannot be watched */
	int store_error;
	bool refused_place; /* the capture could not be published */
	char error[240];
};

/* ---- watch.c ---- */
int watch_target(struct collector *c, int pid, struct lsc_err *err);
/* Watches the selected processes that are not watched yet. */
void watch_selected(struct collector *c, uint64_t now);
/* Watches one more from now on, which has threads already. */
void watch_late_target(struct collector *c, struct target *t);
void watch_seed(struct collector *c, struct target *t);
struct target *watch_target_of(struct collector *c, int pid);
void watch_target_gone(struct collector *c, struct target *t);
/* Stores what is known of it by now. */
void watch_target_store(struct collector *c, const struct target *t);
struct loop *watch_loop(struct collector *c, int tid);
/* The thread's loop, made now if need be. NULL out of memory or of room, or not asked for. */
struct loop *watch_loop_new(struct collector *c, int pid, int tid);
/* Threads may come and go by the thousand a second, each a loop for as long as it lives: whether
 * there is room for one more. */
bool watch_has_room(struct collector *c);
void watch_loop_store(struct collector *c, struct loop *l);
void watch_loop_announce(struct collector *c, struct loop *l);
void watch_loop_totals(struct collector *c, struct loop *l);
/* How much of what precedes a block is taken for the same tick's, by its totals as last read, a
 * tick of that length left out: a loop that idles for most of the time seldom has two ticks in a
 * row, a saturated one turns all the time. */
uint64_t watch_loop_prelude(const struct loop *l, uint64_t tick_ns);
/* Stores and frees a loop at once; stacks under way are lost. */
void watch_loop_end(struct collector *c, struct loop *l);
/* The same, as the thread runs another loop: begins that, which may tell turns that the kernel's
 * account told already. NULL: there is no room, or out of memory. */
struct loop *watch_loop_next(struct collector *c, struct loop *l);
/* The loop's thread has ended: no more is watched, its stacks are waited for. */
void watch_loop_exit(struct collector *c, struct loop *l);
/* Finishes ended loops that wait for nothing more (all of them when force is set). */
void watch_settle_ended(struct collector *c, uint64_t now, bool force);
/* Forgets targets that ended a while ago, and their loops. */
void watch_targets_prune(struct collector *c, uint64_t now);
void watch_free(struct collector *c);
/* The loop was met as it went to sleep in a primary wait at ns. */
void watch_loop_met(struct collector *c, struct loop *l, uint64_t ns);
bool watch_loop_reports(struct collector *c, const struct loop *l);

/* ---- stall.c ---- */
void stall_from_kernel(struct collector *c, struct loop *l, const struct event_stall *e,
		       bool inferred);
/* The same, whatever the loop's ring tells. part: only the times and bounds are cut to what is to
 * be told, the split is of a longer period. */
void stall_from_account(struct collector *c, struct loop *l, const struct event_stall *e,
			bool inferred, bool part);
/* Tells and writes stalls whose evidence is complete, or whose time is up (all of them when force
 * is set). */
void stall_settle(struct collector *c, struct loop *l, uint64_t now, bool force);
/* A tick over the threshold that a ring told; kernel is the account of the busy period around it,
 * or NULL. in_progress: it has no end, and lasted until `end` at least. Its id, 0 out of memory. */
int64_t stall_from_ring(struct collector *c, struct loop *l, uint64_t begin, uint64_t end,
			uint32_t task, const struct event_stall *kernel, bool in_progress);
/* The kernel's account of what overlaps these times was a stall already. */
bool stall_was_told(const struct loop *l, uint64_t begin_ns, uint64_t end_ns);
/* Tells the client. longest may be NULL. */
void stall_tell(struct collector *c, struct loop *l, const struct store_stall *row,
		const struct store_block *longest, uint32_t ring_task);
/* The tick that the loop's thread t is in, as if it ended now; false when it is in none. */
bool stall_account(struct collector *c, struct loop *l, const struct thread_state *t, uint64_t now,
		   struct event_stall *ret_account);
/* Is the thread in a block of its tick? */
bool stall_is_blocked(const struct thread_state *t, uint64_t now);
/* That block, as if it ended now, in *slot; its stack's size, 0 when there is no copy. */
size_t stall_block(struct collector *c, struct loop *l, const struct thread_state *t, uint64_t now,
		   struct stack_slot *slot);
/* The tick that runs at the end of the capture. */
void stall_in_progress(struct collector *c, struct loop *l, uint64_t now);

/* ---- ongoing.c ---- */
/* Announces the tick that the loop is in when it lasts long. */
void ongoing_look(struct collector *c, struct loop *l, uint64_t now);
/* The answer to evidence_unwind(); stack 0: none. */
void ongoing_stack(struct loop *l, uint64_t job, int64_t stack);

/* ---- intake.c ---- */
/* replayed: it was held back, and stands for so many of its kind; 0: it has just come. */
void intake_event(struct collector *c, const struct event *e, size_t size, unsigned int replayed);
void intake_probe_event(const struct event *e, size_t size, void *arg);
/* No more turns will be seen: what was held back is told as inferred, or withdrawn if the thread
 * was seen but once in a poll, as a client waits too. */
void intake_settle(struct collector *c, struct loop *l);

/* ---- victim.c ---- */
/* The loop is in a long tick since then: has its sockets watched. */
void victim_watch(struct collector *c, struct loop *l, uint64_t since, uint64_t now);
/* No loop is in a long tick. */
void victim_pause(struct collector *c);
/* Stops watching. */
void victim_end(struct collector *c);
void victim_event(struct collector *c, const struct event_waited *e);
/* A stall of the loop is known: those that waited in it are stored. */
void victim_stall(struct collector *c, struct loop *l, uint64_t begin, uint64_t end);
/* Some that wait in the stall may still be read in time for its live line. */
bool victim_is_awaited(const struct collector *c, const struct loop *l, const struct stall *s,
		       uint64_t now);
/* worst is borrowed from l. */
struct feed_victims victim_summary(const struct loop *l, uint64_t begin, uint64_t end);
/* NULL is fine. Returns NULL. */
struct victims *victim_free(struct victims *v);

/* ---- gil.c ---- */
/* Has the lock of a CPython looked for, once, and the state of each of its loops' threads. */
void gil_look(struct collector *c, struct loop *l);
/* The answer: the kernel side learns where they lie. */
void gil_found(struct collector *c, const struct job *j, const struct inspector_result *r);
/* It is another program now. */
void gil_forget(struct collector *c, struct target *t);
/* The thread that held the lock when a wait for it began, by what was kept then. False: unknown. */
bool gil_name_owner(struct collector *c, const struct loop *l, const struct aux *aux,
		    struct owner *ret);
/* Does the lock, whose memory from o->word on is words, name the owner still? */
bool gil_is_held(const struct owner *o, const uint32_t words[INSPECTOR_WORDS]);

/* ---- chain.c ---- */
/* The frames of Python of the loop's next sample or owner, or of the block that it is in. */
void chain_keep(struct loop *l, const struct event_python *e);
void chain_forget(struct loop *l);
/* Those of the block that began then are known. */
bool chain_of_block(const struct loop *l, uint64_t off_ns);
/* They show the same code at the same place, in the same task. */
bool chain_is_same(const struct inspector_chain *a, const struct inspector_chain *b);
/* A copy of those that belong to this one and to the thread that the target numbers ns_tid, owned
 * by the caller; NULL: not known, or another thread's. */
struct inspector_chain *chain_take(const struct loop *l, const struct event_block *e, int ns_tid);

/* ---- task.c ---- */
/* The row's id of a task that a loop was in, stored now if it is new. 0: none. */
int64_t task_meet(struct collector *c, struct loop *l, const struct inspector_task *seen,
		  enum store_task_kind kind);
/* More is known of one that was met: its row says so from now on. One that was forgotten stays. */
void task_rename(struct collector *c, struct loop *l, int64_t id,
		 const struct inspector_task *seen);
/* One that the loop was in, borrowed until the next one is met. NULL: unknown. */
const struct store_task *task_of(const struct loop *l, int64_t id);
void task_forget(struct loop *l);

/* ---- callback.c ---- */
/* Looks for the stack that the loop idles with, if that is due. */
void callback_steer(struct collector *c, struct loop *l, uint64_t now);
/* The answer of a JOB_HOME. */
void callback_home(struct collector *c, const struct job *j, const struct inspector_result *r);
/* The task row of the callback that this stack of the loop lies in. 0: unknown. */
int64_t callback_of(struct collector *c, struct loop *l, const struct inspector_result *r);
/* The frame of the callback; all 0: it has none. */
struct callback_place callback_place(const struct loop *l, const struct inspector_result *r);
/* The frames of that stack have more names: so has its callback, the row `task`. */
void callback_rename(struct collector *c, struct loop *l, int64_t task,
		     const struct callback_place *place, const struct inspector_result *r);
/* The loop ends, runs another program, or frames have other names from now on: where it idles is to
 * be learned anew. */
void callback_forget(struct loop *l);

/* ---- precise.c ---- */
/* Arms while some loop is in a tick longer than half the threshold, and for a while after; in
 * turns with pauses for loops that are simply saturated. */
void precise_steer(struct collector *c, uint64_t now);
/* Stores the span up to now, if it is armed. */
void precise_note(struct collector *c, uint64_t now);
/* Disarms for good. */
void precise_forbid(struct collector *c, uint64_t now);

/* ---- ledger.c ---- */
/* Something of a block or sample could not be had. */
void ledger_unresolved(struct collector *c, const char *what, const char *why);
/* The same of the frames of the language that the loop's program is written in. */
void ledger_no_frames(struct collector *c, const struct loop *l, const char *why);
void ledger_lose(struct collector *c, enum lsc_loss reason, uint64_t n);
/* One store call: counts errors, keeps the first. Returns r. */
int ledger_stored(struct collector *c, int r);
/* The same for a row that n events became, which were counted as stored: they are lost where the
 * capture has no room for it. */
int ledger_stored_events(struct collector *c, int r, uint64_t n);
/* n events that were counted as stored are lost. */
void ledger_undo(struct collector *c, enum lsc_loss reason, uint64_t n);
void ledger_commit(struct collector *c);
void ledger_put_start(struct collector *c);
/* Adds up what was emitted, stored and lost. After the last event. */
void ledger_close(struct collector *c, struct collector_summary *sum);
void ledger_put_end(struct collector *c, const char *reason, int exit_status,
		    const struct collector_summary *sum);

#endif
