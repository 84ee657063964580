/* SPDX-License-Identifier: MIT */
/*
 * What collector, keeper, broker and worker say to each other: fixed structs over SOCK_SEQPACKET
 * socketpairs, one message a packet, native byte order (all ends are forks of one program). The
 * collector believes nothing it gets: message_result_read() checks a worker's answer field by
 * field.
 */
#ifndef LSC_INSPECT_MESSAGE_H
#define LSC_INSPECT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "inspect/inspector.h"

#define MESSAGE_MAX	 (64 * 1024)
#define MESSAGE_TEXT_MAX 1024 /* a name, with its NUL; longer ones are cut */
#define MESSAGE_SLOTS	 32   /* targets that a worker remembers */
#define MESSAGE_MAPS_MAX 2048 /* executable mappings of one target */

enum message_kind {
	MESSAGE_CREW = 1,   /* keeper -> collector: struct message_crew and two descriptors */
	MESSAGE_HELLO = 2,  /* worker -> collector: struct message_status, once, in the sandbox */
	MESSAGE_OPEN = 3,   /* collector -> broker: struct message_open */
	MESSAGE_TARGET = 4, /* broker -> worker: struct message_open, /proc/PID/mem if it opened */
	MESSAGE_MAP = 5,    /* broker -> worker: struct message_map, path */
	MESSAGE_MAPS_END = 6, /* broker -> worker: struct message_status; ends every MESSAGE_OPEN */
	MESSAGE_TABLE = 7,    /* worker -> collector: struct message_status, value one of enum
				 message_table or -errno; answers MESSAGE_OPEN */
	MESSAGE_JOB = 8,      /* collector -> worker: struct message_job, stack */
	MESSAGE_PHASE =
		9, /* worker -> collector: struct message_status, value an enum message_phase */
	MESSAGE_RESULT = 10,  /* worker -> collector: struct message_result, frames, text */
	MESSAGE_FIND = 11,    /* collector -> worker: struct message_job, a file's word and a
				 symbol's name, both with NUL; answered by MESSAGE_RESULT */
	MESSAGE_CPYTHON = 12, /* collector -> worker: struct message_job; answered the same */
	MESSAGE_TASKS = 16,   /* collector -> worker: struct message_job; answered by any number of
				 MESSAGE_TASK_PAGE and then by MESSAGE_RESULT */
	MESSAGE_TASK_PAGE = 17,	  /* worker -> collector: struct message_page and what it counts */
	MESSAGE_HANDLES = 18,	  /* collector -> worker: struct message_job, struct message_wait;
				     answered by a MESSAGE_HANDLE_LIST or none, then MESSAGE_RESULT */
	MESSAGE_HANDLE_LIST = 19, /* worker -> collector: struct message_handle_list and the rest */
	MESSAGE_VERSION = 21, /* collector -> worker: struct message_job, a runtime's name with NUL;
				 answered by MESSAGE_RESULT */
	MESSAGE_COPY = 29,  /* collector -> worker: struct message_job; answered by a MESSAGE_STACK
			       or none, then MESSAGE_RESULT */
	MESSAGE_STACK = 30, /* worker -> collector: struct message_copy and its bytes */
	MESSAGE_SIDEFILE = 20, /* worker -> broker: struct message_sidefile, text; answered by a
				  struct message_status of this kind, with the file if its value
				  is 0 */
	MESSAGE_WANT = 22,     /* worker -> collector, before MESSAGE_RESULT: struct message_want,
				  path: the result lacks what an indexer has to find out first */
	MESSAGE_FILE = 23,  /* collector -> broker of an indexer: struct message_file, its offsets,
			       path; broker -> indexer: the same with the file and with room for
			       its index, if the status is 0 */
	MESSAGE_ROOT = 25,  /* collector -> broker of an indexer: struct message_open: to remember
			       the  target's root, it may end */
	MESSAGE_FETCH = 26, /* collector -> fetcher: struct message_fetch */
	MESSAGE_FETCHED = 27, /* fetcher -> collector: struct message_status, 0 or -errno; answers
				 MESSAGE_FETCH */
	MESSAGE_MATE = 28,    /* keeper -> collector: struct message_crew and two descriptors, the
				 new worker's and one that the old broker is to have; collector ->
				 broker: struct message_status and the latter */
	MESSAGE_INDEX = 24,   /* indexer -> collector, collector -> worker: struct message_index and
				 what it counts (index.h), with the index if there is one */
};

enum message_table {
	MESSAGE_TABLE_NEW = 0,
	MESSAGE_TABLE_KEPT = 1, /* the files are those that it had, and parsed already */
};

enum message_phase {
	MESSAGE_PHASE_UNWIND = 0,
	MESSAGE_PHASE_INDEX = 1, /* a file or an address seen for the first time: may take longer */
	MESSAGE_PHASE_MAP = 2, /* the perf map is looked at: what hangs from here on is its fault */
};

enum message_why {
	MESSAGE_WHY_NONE = 0,
	MESSAGE_WHY_NO_CFI = 1, /* the chain broke before the outermost frame */
	MESSAGE_WHY_LOOP = 2,
	MESSAGE_WHY_UNREADABLE = 3, /* nothing of the target could be parsed */
	MESSAGE_WHY_VERSION = 4,    /* a CPython or V8 without a known layout */
	MESSAGE_WHY_LAYOUT = 5,	    /* ... whose memory does not fit it */
	MESSAGE_WHY_NO_STATE = 6,   /* CPython does not know the thread */
	MESSAGE_WHY_NO_FIT = 7,	    /* its frames are not those of the native stack */
	MESSAGE_WHY_CHANGED = 8,    /* their code is not there any more */
	MESSAGE_WHY_BUILD = 9,	    /* a debug file of another build */
	MESSAGE_WHY_OWNER = 10,	    /* a file of another user */
	MESSAGE_WHY_NO_FILE = 11,   /* not a plain file */
	MESSAGE_WHY_TOO_LARGE = 12,
	MESSAGE_WHY_FREE_THREADED = 13, /* a CPython without a GIL, whose frames are others */
	MESSAGE_WHY_LATE = 14,		/* an indexer ended over the file, or at its deadline */
	MESSAGE_WHY_NO_SHARED = 15,	/* a debug file's common part, made by dwz, was not found */
	MESSAGE_WHY_OFTEN = 16,		/* a file grows too often to be read on for each stack */
	MESSAGE_WHY_INLINED = 17,	/* which functions are inlined there */
	MESSAGE_WHY_ABSENT = 18,	/* the kernel side could not read them, or too early */
	MESSAGE_WHY_COUNT,
};

struct message_crew {
	uint32_t kind;
	int32_t status;		/* 0 or -errno; descriptors (worker, broker) only with 0 */
	int32_t broker, worker; /* a fetcher is a worker without a broker, which is 0 then */
};

struct message_status {
	uint32_t kind;
	int32_t value;
};

struct message_open {
	uint32_t kind;
	uint32_t slot;
	int32_t pid, tid;
};

enum message_map_flags {
	MESSAGE_MAP_VDSO = 1,
	MESSAGE_MAP_FILE = 2, /* of a file, which an indexer may be able to open */
};

/* Where a file beside a target's own is looked for; below the target's root but for
 * those of our own. */
enum message_place {
	MESSAGE_PLACE_ID = 0,	      /* text: a build id in hex */
	MESSAGE_PLACE_ID_OURS = 1,    /* the same, below our own root */
	MESSAGE_PLACE_LINK = 2,	      /* text: a file's path, NUL, the name in its .gnu_debuglink */
	MESSAGE_PLACE_LINK_BELOW = 3, /* the same, in .debug/ */
	MESSAGE_PLACE_LINK_GLOBAL = 4, /* the same, below /usr/lib/debug */
	MESSAGE_PLACE_MAP = 5,	       /* no text: /tmp/perf-PID.map */
	MESSAGE_PLACE_ALT = 6, /* text: a directory, NUL, the name in a .gnu_debugaltlink there */
	MESSAGE_PLACE_ALT_OURS = 7, /* the same, below our own root */
	MESSAGE_PLACE_CACHE = 8,    /* text: a build id in hex; in what debuginfod has brought */
	MESSAGE_PLACES,
};

struct message_sidefile {
	uint32_t kind;
	uint32_t place;
	int32_t pid;
	/* text follows */
};

#define MESSAGE_OFFSETS_MAX 64

/* A file of the job's target, by one of its mappings, and addresses in it as offsets in the file,
 * to be named from its debug information. */
struct message_piece {
	uint64_t start, end, offset, dev, inode; /* as in maps; of the vDSO both are 0 */
};

struct message_want {
	uint32_t kind;
	uint32_t noffsets;
	struct message_piece file;
	uint64_t offsets[MESSAGE_OFFSETS_MAX];
	/* path follows */
};

/* Which file was indexed, as the kernel has it. */
struct message_stamp {
	uint64_t dev, inode, size, changed_ns;
};

enum message_file_flags {
	MESSAGE_FILE_PLAIN = 1, /* no separate debug file: it may have cost an indexer */
	MESSAGE_FILE_CACHE = 2, /* one that debuginfod has brought counts, too */
};

struct message_file {
	uint32_t kind;
	uint32_t flags;
	int32_t status; /* of the broker: 0 or -errno */
	int32_t pid, tid;
	uint32_t noffsets;
	uint32_t edition; /* grows when a debug file has come: what was found out before is less */
	uint32_t pad;
	struct message_piece file;
	struct message_stamp known; /* whose index the collector has; size 0: of none */
	/* noffsets * uint64_t, then the path */
};

#define MESSAGE_BUILD_ID_MAX (2 * 32 + 1) /* in hex, with its NUL */

struct message_fetch {
	uint32_t kind;
	char build_id[MESSAGE_BUILD_ID_MAX];
	char pad[3];
};

struct message_map {
	uint32_t kind;
	uint32_t flags;
	uint64_t start, end, offset, dev, inode;
	/* path without NUL follows; empty: anonymous memory */
};

struct message_job {
	uint32_t kind;
	uint32_t slot;
	uint64_t cookie;
	int32_t tid;
	uint32_t size;
	uint64_t regs[INSPECTOR_REGS];
	uint64_t words;	  /* read what lies at this address, too; 0 no */
	uint32_t asleep;  /* no stack follows: the thread sleeps, its own is read where it lies */
	uint32_t python;  /* with its frames of Python: the thread's number in the target; 0 not */
	uint32_t chain;	  /* 1: frames of Python come along, as they were with the stack */
	uint32_t make_do; /* 1: nothing may be wanted of an indexer */
	uint32_t no_map;  /* 1: the perf map is left alone, it has cost a worker */
	uint32_t pad;
	/* stack follows, then a struct inspector_chain */
};

enum message_result_flags {
	MESSAGE_RESULT_TRUNCATED = 1,
	MESSAGE_RESULT_STALE = 2, /* an address lay in no mapping that the worker knows */
	MESSAGE_RESULT_GONE = 4,  /* the memory that the table describes is no more: exec or exit */
	MESSAGE_RESULT_WORDS = 8, /* words were read */
	MESSAGE_RESULT_KEEPS = 16, /* what was read of the thread is kept, for when the job comes
				      again */
	MESSAGE_RESULT_KEPT = 32,  /* it is of what was kept before */
};

enum message_frame_flags {
	MESSAGE_FRAME_EXPORTED = 1,
	MESSAGE_FRAME_INLINED = 2,
	MESSAGE_FRAME_PYTHON = 4,
	MESSAGE_FRAME_JS = 8,
};

/* Texts are offsets into the text block; 0, an empty string there, is "unknown". */
struct message_frame {
	uint64_t offset, entry, sp;
	uint32_t function, file, module, build_id, near;
	int32_t line;
	uint32_t flags, pad;
};

/* The asyncio task that the thread runs; texts as in a frame, of its coroutine. */
struct message_task {
	uint64_t address; /* 0: none, or not known */
	uint32_t name, function, file;
	int32_t line;
};

/* Some of a process's tasks: first the tasks, then all their frames, then all their links (u64),
 * then texts as in a result. */
struct message_page {
	uint32_t kind;
	uint32_t ntasks, nframes, nlinks, text_size;
	uint32_t pad;
	uint64_t cookie;
};

struct message_page_task {
	uint64_t address, loop, waiter, group; /* as in struct inspector_pytask */
	uint32_t name, waits;		       /* texts */
	int32_t tid;
	uint32_t state; /* enum inspector_pytask_state */
	uint32_t nframes, nlinks;
	uint32_t cut, pad;
};

struct message_page_frame {
	uint32_t function, file;
	int32_t line;
};

#define PAGE_TASKS  128
#define PAGE_FRAMES 1024
#define PAGE_LINKS  1024
#define PAGE_TEXT   (32 * 1024)

/* Where a thread waits. */
struct message_wait {
	uint64_t sp;
	int32_t fd;
	uint32_t pad;
};

/* Some of a thread's memory, which follows. */
struct message_copy {
	uint32_t kind;
	uint32_t size;
	uint64_t cookie;
};

/* Handles of libuv, then texts as in a result. */
struct message_handle_list {
	uint32_t kind;
	uint32_t n, omitted, text_size;
	uint64_t cookie;
};

struct message_handle {
	uint64_t timeout_ms, repeat_ms;
	int32_t fd, number;
	uint32_t kind; /* enum inspector_handle_kind */
	uint32_t flags, callback;
	uint32_t pad;
};

enum message_handle_flags {
	MESSAGE_HANDLE_ACTIVE = 1,
	MESSAGE_HANDLE_REFERENCED = 2,
	MESSAGE_HANDLE_CLOSING = 4,
};

#define HANDLES_TEXT (16 * 1024)

struct message_result {
	uint32_t kind;
	uint32_t flags;
	uint64_t cookie;
	uint32_t why;
	uint32_t nframes;
	uint32_t text_size;
	uint32_t language; /* enum message_why: why frames of Python or JavaScript are missing */
	uint32_t debug;	   /* the same of a separate debug file */
	uint32_t jit;	   /* the same of names of code made at run time */
	uint32_t words[INSPECTOR_WORDS];
	uint64_t address, size;	      /* of MESSAGE_FIND and MESSAGE_CPYTHON; 0: not found */
	struct inspector_gil gil;     /* of MESSAGE_CPYTHON; holder 0: not known */
	struct inspector_place place; /* the same; code_name 0: not known */
	uint64_t state;		      /* the same: of the job's thread; 0: not known */
	struct message_task task;
	struct inspector_tally tally; /* of MESSAGE_TASKS */
	/* nframes * struct message_frame, then text_size bytes, first and last of them NUL */
};

/* Sends head and tail (may be NULL) as one packet, with nfds descriptors (borrowed). 0 or -errno;
 * -EPIPE without a signal. flags: MSG_DONTWAIT or 0. */
int message_send(int fd, const void *head, size_t head_size, const void *tail, size_t tail_size,
		 const int *fds, size_t nfds, int flags);

/* Receives one packet. Its size; 0 at end of stream; -EMSGSIZE when it does not fit. Descriptors
 * come into ret_fds (exactly nfds of them, -1 where absent; the caller owns them); with nfds 0 the
 * kernel throws away what the peer sent along. */
ssize_t message_recv(int fd, void *buf, size_t size, int *ret_fds, size_t nfds, int flags);

/* Whether the text, of size bytes without a NUL, can be a build id in hex. */
bool message_is_build_id(const char *text, size_t size);

/* The text of a checked message at an offset within it; NULL unknown. Points into buf. */
const char *message_text(const void *buf, size_t size, const struct message_result *r,
			 uint32_t offset);

/* Checks a MESSAGE_RESULT of size bytes and fills ret_frames (INSPECTOR_FRAMES_MAX of them; texts
 * point into buf). 0 or -EBADMSG. */
int message_result_read(const void *buf, size_t size, struct message_result *ret,
			struct inspector_frame *ret_frames);

/* Checks a MESSAGE_TASK_PAGE of size bytes with this cookie; fills *ret, whose arrays have room for
 * PAGE_TASKS, PAGE_FRAMES and PAGE_LINKS; texts point into buf. 0 or -EBADMSG. */
struct message_page_room {
	struct inspector_pytask tasks[PAGE_TASKS];
	struct inspector_task_frame frames[PAGE_FRAMES];
	uint64_t links[PAGE_LINKS];
};
int message_page_read(const void *buf, size_t size, uint64_t cookie, struct message_page_room *room,
		      size_t *ret_ntasks);

/* Checks a MESSAGE_STACK of size bytes with this cookie; *ret points into buf. 0 or -EBADMSG. */
int message_copy_read(const void *buf, size_t size, uint64_t cookie, const void **ret,
		      size_t *ret_size);

/* Checks a MESSAGE_HANDLE_LIST of size bytes with this cookie; fills ret, INSPECTOR_HANDLES_MAX of
 * them; texts point into buf. 0 or -EBADMSG. */
int message_handles_read(const void *buf, size_t size, uint64_t cookie,
			 struct inspector_handle *ret, size_t *ret_n, size_t *ret_omitted);

#endif
