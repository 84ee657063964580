/* SPDX-License-Identifier: MIT */
/*
 * Inspector workers: everything that parses a target's ELF files or reads its memory happens in
 * child processes with deadlines, never in the collector. A broker process keeps the privilege to
 * open (maps, /proc/PID/mem, ELF files through openat2 RESOLVE_IN_ROOT); a worker without
 * privileges (no open, no sockets, seccomp, rlimits) unwinds and resolves on descriptors handed to
 * it. Both are killed and replaced when late. The collector never waits for one.
 *
 * All functions return at once; results come from inspector_dispatch().
 */
#ifndef LSC_INSPECTOR_H
#define LSC_INSPECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define INSPECTOR_REG_SP     7 /* DWARF's number of it, by which they are in order */
#define INSPECTOR_STACK_MAX  (32 * 1024)
#define INSPECTOR_FRAMES_MAX 128
#define INSPECTOR_WORDS	     6
#define INSPECTOR_RED_ZONE                                                                         \
	128 /* bytes below the stack pointer that are the function's own (System V ABI) */
#define INSPECTOR_REGS 17 /* DWARF order on x86-64: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */

struct inspector;

#define INSPECTOR_GIL_BYTES 12 /* of the lock: its holder (a pointer), and whether it is held */
#define INSPECTOR_GIL_REACH                                                                        \
	(1u << 20) /* an interpreter has 300 KB at most; all offsets are less                      \
		    */

/* Where CPython's lock names the thread that holds it. */
struct inspector_gil {
	uint64_t holder;    /* address of a pointer to a thread state, behind it an int: 1 held; 0
			     * unknown */
	uint32_t id_offset; /* of the thread's number (as the target numbers it) in the state */
	uint32_t id_hop; /* not 0: a pointer lies there, and the number so far behind its target */
};

/* Where a CPython keeps its frames and its tasks: offsets as in struct pylayout, less than
 * INSPECTOR_PLACE_REACH. */
struct inspector_place {
	uint64_t tasks; /* the dictionary of current tasks by their loops; 0: none, or not known */
	uint32_t state_cframe, state_frame;
	uint32_t state_task;  /* since 3.14 a pointer to the thread's current task; 0 not known */
	uint32_t frame_bytes; /* all that is told of a frame lies within these */
	uint32_t frame_code, frame_instr, frame_previous, frame_owner, frame_entry;
	uint32_t code_name, code_first, code_file, code_table; /* code_name 0: not known */
	uint32_t task_coro, task_name, gen_frame;
	uint32_t text_ascii, text_wide; /* where a text has its characters, by their width */
};
#define INSPECTOR_PLACE_REACH 4096

#define INSPECTOR_PYFRAMES_MAX 64

/* A frame of Python as it was at some moment, and what its code had then: the type tells whether it
 * was one, the others whether it still is the same. */
struct inspector_pyframe {
	uint64_t address, code, instr; /* instr: an address since 3.11, else an index */
	uint64_t type, name, file, table;
	int32_t first;
	uint8_t owner, entry, pad[2];
};

#define INSPECTOR_NAME_BYTES 1024

/* The task that was current then and whose coroutine is among the frames. */
struct inspector_seen_task {
	uint64_t address; /* 0: none */
	uint64_t frame;	  /* of its coroutine */
	uint64_t name;	  /* an object, whose first bytes follow as they were */
	uint64_t size;	  /* how many of them */
	uint8_t bytes[INSPECTOR_NAME_BYTES];
};

struct inspector_chain {
	uint32_t tid; /* of its thread, as the target numbers it */
	uint32_t count;
	bool cut; /* there are more */
	struct inspector_seen_task task;
	struct inspector_pyframe frames[INSPECTOR_PYFRAMES_MAX]; /* leaf first */
};

struct inspector_frame {
	const char *function; /* C++ names demangled; NULL unknown */
	const char *file;     /* source file; NULL unknown */
	int line;	      /* 0 unknown */
	const char *module; /* path of the ELF file as the target maps it; "[vdso]"; NULL anonymous
			       memory */
	const char *build_id; /* hex; NULL unknown */
	uint64_t offset;      /* in the module's file, or the address when there is no module; of a
			       * caller: the return address less one */
	uint64_t entry;	      /* where the function begins, counted like offset; 0 unknown */
	uint64_t sp;	      /* the stack pointer in it; 0 of Python */
	const char *near;     /* of a function without a name in a file that has exported names
			       * alone: the last of them before it; NULL none */
	bool exported;	      /* the name comes from .dynsym */
	bool inlined;	      /* into the next frame, at the same offset */
	bool python;	      /* a function of Python: no module, no offset */
	bool js;	      /* the same of JavaScript, with the line of its definition */
};

/* The asyncio task that a thread is in: its name, and its coroutine's function, file, first line.
 */
struct inspector_task {
	uint64_t address;		    /* 0: in none, or not known */
	const char *name, *function, *file; /* NULL unknown */
	int line;			    /* 0 unknown */
};

enum inspector_pytask_state {
	INSPECTOR_PYTASK_READY, /* it can run, or is about to begin */
	INSPECTOR_PYTASK_RUNNING,
	INSPECTOR_PYTASK_WAITING,
	INSPECTOR_PYTASK_STATES,
};

struct inspector_task_frame {
	const char *function, *file; /* NULL unknown */
	int line;		     /* 0 unknown */
};

/* One of a process's tasks of asyncio. Addresses are the target's, and nothing but names here. A
 * task awaits another one when its `waiter` or its `group` is among those that the other one wakes.
 */
struct inspector_pytask {
	uint64_t address, loop;
	uint64_t waiter, group; /* the future, the TaskGroup that it waits for; 0 none */
	const char *name;	/* NULL unknown */
	const char *waits; /* the type of what it waits for, "Future"; NULL nothing, or unknown */
	int tid;	   /* the target's own number of the thread that runs its loop; 0 unknown */
	enum inspector_pytask_state state;
	const struct inspector_task_frame *frames; /* its coroutine and what that awaits, outermost
						    * first */
	size_t nframes;
	bool cut;	       /* there are more frames */
	const uint64_t *wakes; /* what waits for it: itself, futures, groups */
	size_t nwakes;
};

/* How many tasks there are, and what is known of the CPython. */
struct inspector_tally {
	uint32_t told;
	uint32_t changed; /* were not the same twice while they were read: left out */
	uint32_t omitted; /* beyond the bound on their number */
	uint32_t torn;	  /* lists that were not read to their end: tasks of them may lack */
	uint32_t version; /* as PY_VERSION_HEX; of 3.8 to 3.10 the first two numbers alone */
	uint64_t took_ns; /* the reading */
};

enum inspector_handle_kind {
	INSPECTOR_HANDLE_ASYNC = 1,
	INSPECTOR_HANDLE_CHECK,
	INSPECTOR_HANDLE_FS_EVENT,
	INSPECTOR_HANDLE_FS_POLL,
	INSPECTOR_HANDLE_IDLE,
	INSPECTOR_HANDLE_PIPE,
	INSPECTOR_HANDLE_POLL,
	INSPECTOR_HANDLE_PREPARE,
	INSPECTOR_HANDLE_PROCESS,
	INSPECTOR_HANDLE_SIGNAL,
	INSPECTOR_HANDLE_TCP,
	INSPECTOR_HANDLE_TIMER,
	INSPECTOR_HANDLE_TTY,
	INSPECTOR_HANDLE_UDP,
	INSPECTOR_HANDLE_KINDS,
};

/* One handle of a loop of libuv. */
struct inspector_handle {
	enum inspector_handle_kind kind;
	bool active, referenced, closing;
	int fd;	    /* -1 none */
	int number; /* the signal, or the child's process, as the target numbers it */
	uint64_t timeout_ms, repeat_ms; /* of a timer: on the target's monotonic clock; 0 once */
	const char *callback;		/* a function, or module+0xoffset; NULL none, or unknown */
};
#define INSPECTOR_HANDLES_MAX 1000

struct inspector_result {
	uint64_t cookie;
	size_t nframes; /* leaf first; 0 when failed */
	const struct inspector_frame *frames;
	bool truncated; /* the copy ended, or the frame limit was met, before the outermost frame */
	bool keeps; /* of inspector_unwind_asleep(), and no answer yet: what lies in the thread's
		     * memory, and the words, were read now and are kept for it */
	bool kept;  /* the answer is of what was kept last, not of the thread as it is now */
	const uint32_t *words;	  /* INSPECTOR_WORDS of them; NULL not asked for, or not readable */
	uint64_t address, size;	  /* of inspector_find(): where the symbol lies; 0 not found. Of
				   * inspector_cpython(): _PyRuntime, even if `why` is set */
	struct inspector_gil gil; /* of inspector_cpython() */
	struct inspector_place place; /* " */
	uint64_t state;		      /* " : the thread's own; 0 unknown */
	struct inspector_task task;   /* of a stack with frames of Python */
	const char *language_why;     /* NULL, or why frames of Python that were asked for, or some
				       * of JavaScript, are missing */
	/* Of inspector_tasks(), which is answered in pages: page set, and at last once without,
	 * with the tally. */
	const struct inspector_pytask *page; /* npage of them */
	size_t npage;
	struct inspector_tally tally;
	/* Of inspector_handles(): before the answer, once, if there is a loop of libuv. */
	const struct inspector_handle *handles; /* nhandles of them */
	size_t nhandles, handles_omitted;
	const void *copy; /* of inspector_copy(): before the answer, once; copy_size bytes */
	size_t copy_size;
	const char *debug_why; /* NULL, or why a separate debug file is not used; said once */
	const char *jit_why;   /* NULL, or why code made at run time has no names; said once */
	const char *why; /* NULL, or why frames are missing: "deadline", "target gone", ... one
			    short text */
};

/* Results are borrowed until fn returns. */
typedef void inspector_result_fn(const struct inspector_result *result, void *arg);

struct inspector_options {
	uint64_t unwind_deadline_ns; /* 0: 50 ms once a target's files are indexed */
	uint64_t index_deadline_ns;  /* 0: 2 s for one file, or to open a target */
	bool debuginfod; /* debug files may be fetched from where DEBUGINFOD_URLS says, if it does
			  */
};

/* Starts broker and worker. Gives *ret_inspector. Call before privileges are dropped, and before
 * memory is mapped shared with others (BPF maps, rings): the children inherit mappings. Call from
 * the main thread: the children die with the thread that called. One thread at a time may use it.
 */
int inspector_new(const struct inspector_options *options, inspector_result_fn *fn, void *arg,
		  struct inspector **ret_inspector, struct lsc_err *err);
/* Kills and reaps the children. NULL is fine. Returns NULL. */
struct inspector *inspector_free(struct inspector *ins);

/* A descriptor to poll for POLLIN (an epoll fd that holds the inner ones). */
int inspector_fd(const struct inspector *ins);
/* When inspector_dispatch() must run next even without POLLIN: at once (0) after
 * inspector_unwind(). UINT64_MAX: not needed. */
uint64_t inspector_deadline_ns(const struct inspector *ins);
/* Handles what arrived, kills what is late, calls fn for each finished job. Never blocks. */
void inspector_dispatch(struct inspector *ins);

/* Unwinds one raw capture: regs as above, stack = size bytes copied from the target's memory,
 * from INSPECTOR_RED_ZONE below rsp on. pid/tid in the reader's namespace. The job is answered
 * exactly once through fn, with the same cookie, possibly with why set. Copies all it needs.
 * -EAGAIN when too many jobs wait (not answered then). */
int inspector_unwind(struct inspector *ins, uint64_t cookie, int pid, int tid,
		     const uint64_t regs[INSPECTOR_REGS], const void *stack, size_t size);

/* The same with the frames of Python of the same moment, in place of those that run them; and with
 * the task that was current. */
int inspector_unwind_python(struct inspector *ins, uint64_t cookie, int pid, int tid,
			    const uint64_t regs[INSPECTOR_REGS], const void *stack, size_t size,
			    const struct inspector_chain *chain);

struct inspector_sleeper {
	const uint64_t *regs; /* INSPECTOR_REGS of them */
	uint64_t words; /* not 0: the address of INSPECTOR_WORDS words that are read afterwards */
	int python; /* not 0: the target's own number of the thread; with its frames of Python, in
		     * place of the interpreter's that run them, and its task */
};

/* The same for a thread that sleeps: its stack is read where it lies. Whether it slept all the time
 * is the caller's to find out: until the answer, or, where that is of what was kept, until the last
 * result with `keeps` set. Copies all it needs. */
int inspector_unwind_asleep(struct inspector *ins, uint64_t cookie, int pid, int tid,
			    const struct inspector_sleeper *sleeper);

/* Copies the stack of a thread that sleeps, from INSPECTOR_RED_ZONE below its pointer on. Answered
 * by a result with the copy, if it could be read, then by the last one. */
int inspector_copy(struct inspector *ins, uint64_t cookie, int pid, int tid,
		   const uint64_t regs[INSPECTOR_REGS]);

/* Looks for a symbol in the target's files whose name holds `file` ("python"). Answered like a
 * stack, without frames. -EAGAIN when too many jobs wait (not answered then). */
int inspector_find(struct inspector *ins, uint64_t cookie, int pid, int tid, const char *file,
		   const char *symbol);

/* Looks for a CPython's _PyRuntime and in it for the lock of the main interpreter, and for the
 * state of the thread that the target numbers ns_tid. Answered like inspector_find(). */
int inspector_cpython(struct inspector *ins, uint64_t cookie, int pid, int tid, int ns_tid);

/* Reads all tasks of asyncio. Answered by any number of results with a page, then by the last one.
 * The reading may take INSPECTOR_TASKS_NS. */
#define INSPECTOR_TASKS_NS 1000000000ull
int inspector_tasks(struct inspector *ins, uint64_t cookie, int pid, int tid);

/* Looks for the loop of libuv that turns in a thread, by its stack pointer in its wait and the
 * epoll set that it waits on, and reads its handles. Answered by a result with handles, if there is
 * such a loop, then by the last one, whose address is the loop's; 0: there is none. */
int inspector_handles(struct inspector *ins, uint64_t cookie, int pid, int tid, uint64_t sp,
		      int epoll_fd);

/* Looks for the version of a runtime: "redis", "nginx", "node", "libuv". Answered like
 * inspector_find(), with the version in the tally: as PY_VERSION_HEX; 0: it is not certain. */
int inspector_version(struct inspector *ins, uint64_t cookie, int pid, int tid,
		      const char *runtime);

/* The target's mappings changed (exec, dlopen seen): look again at the next job. */
void inspector_forget(struct inspector *ins, int pid);

/* Jobs not yet answered. */
size_t inspector_pending(const struct inspector *ins);

/* A debug file that debuginfod was to bring. */
struct inspector_missed {
	const char *build_id; /* hex; borrowed until the inspector is freed */
	const char *why;      /* one short text */
	bool absent;	      /* the servers have said that they have none */
};

/* Each one that has not come, once. False: no more of them so far. */
bool inspector_next_missed(struct inspector *ins, struct inspector_missed *ret);
/* Whether debug files are asked for at all. */
bool inspector_fetches(const struct inspector *ins);
/* Whether the debug file of that build is on its way, or has come and is not used yet. */
bool inspector_awaits(const struct inspector *ins, const char *build_id);
/* It changes when one is used from now on: what was walked before may have more names. */
uint32_t inspector_edition(const struct inspector *ins);
/* The capture ends: those that have not come by now are missed. */
void inspector_end_fetching(struct inspector *ins);

/* Whether debug files could be fetched here: 0; -ENOENT: DEBUGINFOD_URLS names no server; -ELIBACC:
 * libdebuginfod is not installed. Asks nobody. */
int inspector_debuginfod(void);

/* The present children's process ids, for diagnosis; 0 while they are being replaced. */
void inspector_children(const struct inspector *ins, int *ret_broker, int *ret_worker);
/* The same of those that index files: a broker, its indexer, the next broker, ... Their number, at
 * most max. */
size_t inspector_indexers(const struct inspector *ins, int *pids, size_t max);

/* CPU time of all children that there have been; of those that ended by themselves, not. */
uint64_t inspector_cpu_ns(const struct inspector *ins);

/* Whether a job of the process waits for one of its files to be indexed, or has and is not answered
 * yet. */
bool inspector_is_indexing(const struct inspector *ins, int pid);

#endif
