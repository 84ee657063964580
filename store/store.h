/* SPDX-License-Identifier: MIT */
/*
 * The timeline store: one capture file (*.lsc, SQLite), written once by loopscoped and read again
 * and again by loopscope. All SQL of the project lives behind this header; it knows nothing of BPF
 * or of the ring. docs/schema.md describes the file.
 *
 *   writing   store_create, store_put_*, store_publish, store_commit, store_finish
 *   reading   store_open, store_meta_get, store_each_*, store_close
 *
 * Rules for all rows: ids are positive and chosen by the writer, unique per table; 0 means "none".
 * Times are CLOCK_MONOTONIC ns (absolute; capture.start_ns in meta is the origin), durations ns.
 * Strings are UTF-8 or hostile bytes, at most STORE_TEXT_MAX; NULL means unknown. store_put_*
 * borrows all it is given; rows handed to callbacks are borrowed until the callback returns. One
 * thread at a time. Functions return 0 or -errno (-EFBIG: the size bound is reached, the row was
 * not stored). Any other error of a put than -EFBIG and -EINVAL, and any of store_commit, voids all
 * that was put since the last commit; puts then fail alike until store_commit, which says so once
 * more.
 */
#ifndef LSC_STORE_H
#define LSC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cause.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/loss.h"

#define STORE_TEXT_MAX 4096

struct store;

/* ---- rows ---- */

struct store_target {
	int64_t id;
	int pid;    /* as the reader's namespace numbers it */
	int ns_pid; /* as the target sees itself; 0 unknown */
	const char *comm, *exe, *runtime, *runtime_version, *cgroup;
	uint64_t first_ns, last_ns;
};

enum store_source { STORE_SOURCE_BPF = 1, STORE_SOURCE_RING = 2, STORE_SOURCE_BOTH = 3 };

struct store_loop {
	int64_t id, target;
	int tid;
	const char *comm;
	enum store_source source;
	const char *runtime;
	const char *wait_syscall; /* primary wait, NULL unknown */
	int wait_fd;		  /* -1 none */
	uint64_t first_ns, last_ns;
	uint64_t ticks, busy_ns, idle_ns, runqueue_ns;
	const struct lsc_histogram *lag; /* NULL unknown */
	uint64_t stalled_ns;
	uint64_t stall_count;
};

struct store_site {
	const char *function, *file; /* NULL unknown */
	int line;		     /* 0 unknown */
};

enum store_task_kind { STORE_TASK_TASK = 0, STORE_TASK_CALLBACK = 1 };
/* Of a callback that is not on the stack any more, only its caller is: the begin of its name. */
#define STORE_CALLED_FROM "called from "

static inline const char *store_task_kind_name(enum store_task_kind kind)
{
	return kind == STORE_TASK_CALLBACK ? "callback" : "task";
}

struct store_task {
	int64_t id, loop;
	uint32_t ring_id; /* the task's number in its ring; 0 none */
	const char *name;
	enum store_task_kind kind;
	struct store_site spawn_site;
	int64_t parent;
	const char *state; /* "created" "ready" "running" "suspended" "done" "cancelled" "failed" */
	const char *waiting_on;	       /* "timer", "fd 7", "task", ...; NULL when not suspended */
	int64_t awaits;		       /* the task that it awaits */
	uint64_t created_ns, ended_ns; /* 0 unknown / still alive */
	uint64_t steps, run_ns, max_step_ns;
	const struct lsc_histogram *ready_wait; /* NULL unknown */
};

enum store_mode {
	STORE_MODE_DEFAULT = 0,
	STORE_MODE_PRECISE = 1,
	STORE_MODE_FENTRY = 2,
	STORE_MODE_RING = 3
};

struct store_stall {
	int64_t id, loop;
	uint64_t start_ns, duration_ns, duration_min_ns, duration_max_ns;
	enum store_mode mode;
	bool in_progress;		 /* still open when the capture ended */
	bool inferred;			 /* confidence: inferred instead of observed */
	int64_t task;			 /* the culprit, 0 unknown */
	int64_t stack;			 /* of the longest block, else the heaviest sample */
	uint64_t split[LSC_CAUSE_COUNT]; /* sums to duration_ns */
};

struct store_culprit { /* steps of one task within one stall, added up */
	int64_t stall, task;
	uint64_t ns;
};

struct store_block {
	int64_t id, loop;
	int64_t stall; /* 0: outside of any stall */
	int64_t task;
	uint64_t start_ns, duration_ns;
	uint64_t count;	     /* waits that were added up into this row, 1 mostly */
	const char *syscall; /* NULL: not in a system call (page fault) */
	enum lsc_cause cause;
	bool inferred;		   /* the cause was concluded, not seen */
	const char *args_json;	   /* decoded arguments, a JSON object; NULL none */
	const char *resource_kind; /* file socket pipe timer lock child memory; NULL unknown */
	const char *path, *peer, *proto;
	int resource_pid;
	const char *resource_comm;
	uint64_t requested_ns; /* of a sleep; 0 unknown */
	int owner_tid;	       /* of a lock; 0 unknown */
	const char *owner_comm;
	int64_t owner_stack;
	int waker_pid; /* 0 unknown */
	const char *waker_comm;
	int64_t stack, kernel_stack;
};

struct store_sample { /* on-CPU sample inside a long tick */
	int64_t loop;
	int64_t stall; /* 0: outside of any stall */
	int64_t task;
	uint64_t ts_ns;
	uint64_t ns; /* the time that this sample stands for */
	bool kernel; /* taken in kernel mode */
	int64_t stack;
};

enum store_wait_kind { STORE_WAIT_TASK = 0, STORE_WAIT_SOCKET = 1, STORE_WAIT_TIMER = 2 };

/* A ready wait recorded singly: something could run at ready_ns and had to wait. The victims of a
 * stall are the waits of its loop that overlap it. */
struct store_wait {
	int64_t id, loop;
	enum store_wait_kind kind;
	int64_t task; /* for kind task */
	int fd;	      /* for kind socket; -1 none */
	const char *peer, *name;
	uint64_t ready_ns, wait_ns;
};

enum store_lang {
	STORE_LANG_NATIVE = 0,
	STORE_LANG_PYTHON = 1,
	STORE_LANG_JS = 2,
	STORE_LANG_KERNEL = 3
};

struct store_frame {
	enum store_lang lang;
	const char *function, *file, *module,
		*build_id; /* NULL unknown; module is a path, build_id hex */
	int line;	   /* 0 unknown */
	uint64_t offset;   /* of the frame's address in its module's file, or the address when there
			      is none */
	bool inlined;
};

struct store_stack {
	int64_t id;
	bool truncated;
	size_t nframes; /* leaf first */
	const struct store_frame *frames;
};

/* Packed transitions: see chunk.h for the codec. */
struct store_chunk {
	int64_t id, loop;
	uint64_t first_ns, last_ns;
	uint64_t count;
	const void *data;
	size_t size;
};

struct store_mode_span {
	int64_t loop;
	uint64_t from_ns, to_ns;
	enum store_mode mode;
};

struct store_mark { /* the application's own: lsc_trace_mark() */
	int64_t loop;
	int64_t task; /* in whose step; 0 unknown */
	uint64_t ts_ns;
	const char *text; /* NULL: none, or it was lost */
};

/* A counter of the application: lsc_trace_counter(). The least and the greatest include the value
 * that it had when the capture began. */
struct store_counter {
	int64_t id, loop;
	const char *name;
	uint64_t count; /* set so often while captured */
	uint64_t first_ns, last_ns;
	int64_t last, min, max;
};

/* How much stack the tasks of a spawn site used at most: measured by the loop library in its debug
 * mode, for the whole process. */
struct store_site_stack {
	int64_t id, loop; /* loop: which told it */
	struct store_site site;
	uint64_t used, size; /* bytes; size 0 unknown */
};

/* ---- meta: one value each. Text; numbers in decimal. Unknown keys are kept. ---- */
#define STORE_META_TOOL_VERSION	 "tool.version"
#define STORE_META_HOSTNAME	 "host.hostname"
#define STORE_META_KERNEL	 "host.kernel"
#define STORE_META_ARCH		 "host.arch"
#define STORE_META_CPUS		 "host.cpus"
#define STORE_META_BOOT_ID	 "host.boot_id"
#define STORE_META_MODE		 "capture.mode"		 /* attach record daemon */
#define STORE_META_START_NS	 "capture.start_ns"	 /* CLOCK_MONOTONIC */
#define STORE_META_START_WALL_NS "capture.start_wall_ns" /* CLOCK_REALTIME, ns since 1970 */
#define STORE_META_END_NS	 "capture.end_ns"	 /* absent: the capture was cut off */
#define STORE_META_END_WALL_NS	 "capture.end_wall_ns"
#define STORE_META_END_REASON	 "capture.end_reason" /* user duration size abort error ... */
#define STORE_META_EXIT_STATUS                                                                     \
	"capture.exit_status" /* of a recorded command, 128+n for signals                          \
			       */
#define STORE_META_STALL_NS	   "threshold.stall_ns"
#define STORE_META_BLOCK_NS	   "threshold.block_ns"
#define STORE_META_READY_WAIT_NS   "threshold.ready_wait_ns"
#define STORE_META_COVERAGE	   "capture.coverage" /* 0..1, %.6f */
#define STORE_META_EMITTED	   "events.emitted"
#define STORE_META_STORED	   "events.stored"
#define STORE_META_BPF		   "sources.bpf" /* "1" when kernel events were seen, "0" when not */
#define STORE_META_BPF_NS	   "overhead.bpf_ns"
#define STORE_META_CPU_NS	   "overhead.collector_cpu_ns"
#define STORE_META_OVERHEAD_METHOD "overhead.method"

/* ---- writing ---- */

struct store_create_options {
	mode_t mode;	    /* 0: 0640 */
	bool overwrite;	    /* replace an existing file; otherwise -EEXIST */
	uid_t owner;	    /* (uid_t)-1: leave */
	gid_t group;	    /* (gid_t)-1: leave */
	uint64_t max_bytes; /* 0: unbounded */
};

/* Creates the capture, in a file beside path until it is published. Refuses symlinks (O_NOFOLLOW)
 * and, without overwrite, anything that exists. On error nothing is left behind. Gives *ret_store.
 */
int store_create(const char *path, const struct store_create_options *options,
		 struct store **ret_store, struct lsc_err *err);

int store_meta_put(struct store *s, const char *key, const char *value);
int store_meta_put_int(struct store *s, const char *key, int64_t value);

/* Upserts by id: a later row of the same id replaces the earlier one. */
int store_put_target(struct store *s, const struct store_target *row);
int store_put_loop(struct store *s, const struct store_loop *row);
int store_put_task(struct store *s, const struct store_task *row);
int store_put_stall(struct store *s, const struct store_stall *row);
int store_put_block(struct store *s, const struct store_block *row);
int store_put_stack(struct store *s, const struct store_stack *row);
int store_put_wait(struct store *s, const struct store_wait *row);
int store_put_culprit(struct store *s, const struct store_culprit *row); /* key (stall, task) */
int store_put_counter(struct store *s, const struct store_counter *row);
int store_put_site_stack(struct store *s, const struct store_site_stack *row);
/* Appends. */
int store_put_sample(struct store *s, const struct store_sample *row);
int store_put_chunk(struct store *s, const struct store_chunk *row);
int store_put_mode(struct store *s, const struct store_mode_span *row);
int store_put_mark(struct store *s, const struct store_mark *row);
int store_put_step(struct store *s, uint64_t ts_ns,
		   const char *what); /* a step of --max-overhead */
/* The ledger: so much was lost for this reason so far; replaces what was put before. n may be 0. */
int store_put_loss(struct store *s, enum lsc_loss reason, uint64_t n);
/* Something that this capture cannot see at all, and why. Repeats are kept once. */
int store_put_unseen(struct store *s, const char *what, const char *why);
/* Something seen whose name could not be found; counts add up per (what, why). */
int store_add_unresolved(struct store *s, const char *what, const char *why, uint64_t n);

/* Makes what was put durable against kill -9. About once a second. */
int store_commit(struct store *s);

/* The capture takes its place, durable as far as it was put; one that lay there is gone from then
 * on (and stays when this fails, with the errors of store_create()). Nothing when it has it
 * already. */
int store_publish(struct store *s, struct lsc_err *err);

bool store_is_published(const struct store *s);

/* Publishes, commits, leaves a single plain file without -wal and -shm, frees s in any case. */
int store_finish(struct store *s, struct lsc_err *err);

/* Frees s without finishing: the file stays a valid capture that was cut off; of one that was not
 * published nothing stays. NULL is fine. Returns NULL. */
struct store *store_close(struct store *s);

/* ---- reading ---- */

/* Opens a capture read-only and treats it as hostile (DEFENSIVE, trusted_schema off, quick_check).
 * Errors say what is wrong in one line: "'x.lsc' is not a loopscope capture", "... is damaged:
 * ...",
 * "... was written by a newer loopscope (schema 7, this one reads up to 3)". -ENOENT, -EACCES,
 * -EBADMSG (foreign or damaged), -EPROTO (newer). The file is never changed: one of an older schema
 * is copied into a temporary database and migrated there. A capture that was cut off (no end, -wal
 * still beside it) opens. */
int store_open(const char *path, struct store **ret_store, struct lsc_err *err);

/* Whether somebody was writing it when it was opened. */
bool store_is_live(const struct store *s);

/* The value, borrowed until the next call on s, or NULL. */
const char *store_meta_get(struct store *s, const char *key);
/* The number, or fallback when absent or not a number. */
int64_t store_meta_get_int(struct store *s, const char *key, int64_t fallback);

/* Each calls fn for every row, in order of id (samples, waits, blocks, stalls, chunks, marks: of
 * time), until fn returns non-zero, which it then returns; -errno when the file is damaged. */
typedef int store_meta_fn(const char *key, const char *value, void *arg);
typedef int store_target_fn(const struct store_target *row, void *arg);
typedef int store_loop_fn(const struct store_loop *row, void *arg);
typedef int store_task_fn(const struct store_task *row, void *arg);
typedef int store_stall_fn(const struct store_stall *row, void *arg);
typedef int store_block_fn(const struct store_block *row, void *arg);
typedef int store_stack_fn(const struct store_stack *row, void *arg);
typedef int store_wait_fn(const struct store_wait *row, void *arg);
typedef int store_culprit_fn(const struct store_culprit *row, void *arg);
typedef int store_sample_fn(const struct store_sample *row, void *arg);
typedef int store_chunk_fn(const struct store_chunk *row, void *arg);
typedef int store_mode_fn(const struct store_mode_span *row, void *arg);
typedef int store_mark_fn(const struct store_mark *row, void *arg);
typedef int store_counter_fn(const struct store_counter *row, void *arg);
typedef int store_site_stack_fn(const struct store_site_stack *row, void *arg);
typedef int store_step_fn(uint64_t ts_ns, const char *what, void *arg);
typedef int store_loss_fn(enum lsc_loss reason, uint64_t n, void *arg); /* rows with n > 0 */
typedef int store_unseen_fn(const char *what, const char *why, void *arg);
typedef int store_unresolved_fn(const char *what, const char *why, uint64_t n, void *arg);

int store_each_meta(struct store *s, store_meta_fn *fn, void *arg);
int store_each_target(struct store *s, store_target_fn *fn, void *arg);
int store_each_loop(struct store *s, store_loop_fn *fn, void *arg);
int store_each_task(struct store *s, store_task_fn *fn, void *arg);
int store_each_stall(struct store *s, store_stall_fn *fn, void *arg);
int store_each_block(struct store *s, store_block_fn *fn, void *arg);
int store_each_stack(struct store *s, store_stack_fn *fn, void *arg);
int store_each_wait(struct store *s, store_wait_fn *fn, void *arg);
int store_each_culprit(struct store *s, store_culprit_fn *fn, void *arg);
int store_each_sample(struct store *s, store_sample_fn *fn, void *arg);
int store_each_chunk(struct store *s, store_chunk_fn *fn, void *arg);
int store_each_mode(struct store *s, store_mode_fn *fn, void *arg);
int store_each_mark(struct store *s, store_mark_fn *fn, void *arg);
int store_each_counter(struct store *s, store_counter_fn *fn, void *arg);
int store_each_site_stack(struct store *s, store_site_stack_fn *fn, void *arg);
int store_each_step(struct store *s, store_step_fn *fn, void *arg);
int store_each_loss(struct store *s, store_loss_fn *fn, void *arg);
int store_each_unseen(struct store *s, store_unseen_fn *fn, void *arg);
int store_each_unresolved(struct store *s, store_unresolved_fn *fn, void *arg);

#endif
