/* SPDX-License-Identifier: MIT */
/* For tests: targets, what BPF would copy of them (got by ptrace here), and collected answers. */
#ifndef LSC_TESTS_INSPECT_CAPTURE_H
#define LSC_TESTS_INSPECT_CAPTURE_H

#include <sys/types.h>

#include "inspect/inspector.h"

struct capture {
	pid_t pid, tid;
	uint64_t regs[INSPECTOR_REGS];
	size_t size;
	uint8_t stack[INSPECTOR_STACK_MAX];
};

/* Runs argv with stdout and stderr thrown away. Dies with the test. */
pid_t capture_spawn(char *const argv[]);
void capture_kill(pid_t pid);
/* inspect_nest with these arguments, once it has said that it is ready. ret_ready, if not NULL, is
 * for capture_await_ready() when it says so again; the caller closes it. */
pid_t capture_spawn_nest(const char *path, const char *map_file, int *ret_ready);
void capture_await_ready(int ready);
/* Copies the libraries that inspect_nest needs below another root. */
void capture_copy_libraries(const char *root);
/* Takes regs and stack of pid once it is blocked in one of two system calls. */
void capture_take(pid_t pid, long call, long other_call, struct capture *ret);
/* The same of a thread. */
void capture_take_thread(pid_t pid, pid_t tid, long call, struct capture *ret);
/* Takes them once pid runs between two addresses. */
void capture_take_within(pid_t pid, uint64_t start, uint64_t end, struct capture *ret);
/* The first executable mapping whose line in maps holds path. */
void capture_find_map(pid_t pid, const char *path, uint64_t *ret_start, uint64_t *ret_end);

/* The whole of a file, with room for size bytes. Its length. */
size_t capture_load(const char *path, unsigned char *buf, size_t size);
/* Makes a program of these bytes. */
void capture_store(const char *path, const unsigned char *buf, size_t size);

struct answer_frame_copy {
	char function[256], file[256], module[256], build_id[128];
	int line;
	uint64_t offset;
	bool exported, inlined, python;
};
struct answer_copy {
	uint64_t cookie;
	size_t nframes;
	bool truncated;
	char why[64]; /* empty: none */
	char language_why[64], debug_why[64], jit_why[64];
	uint64_t address, size;
	struct answer_frame_copy frames[INSPECTOR_FRAMES_MAX];
};
struct answers {
	size_t n;
	struct answer_copy last;
	char whys[512][24];	      /* of the first answers, by cookie */
	uint64_t slowest_dispatch_ns; /* of those that waited for something */
};

/* Empties a and starts an inspector that answers into it. Without options it is patient: a busy
 * machine may keep a healthy worker from its answer for longer than the default. */
struct inspector *answers_start(struct answers *a, const struct inspector_options *options);
/* The inspector_result_fn; arg is a struct answers. */
void answers_add(const struct inspector_result *result, void *arg);
/* Serves the inspector until n answers are there. Fails the test after 20 s. */
void answers_await(struct inspector *ins, struct answers *a, size_t n);
/* Hands c in and awaits its answer. */
void answers_ask(struct inspector *ins, struct answers *a, const struct capture *c);
/* Whether the last answer has a frame of that name. */
bool answers_have(const struct answers *a, const char *function);
void answers_print(const struct answers *a);

/* A thread of pid other than its first. */
pid_t find_second_thread(pid_t pid);
/* The number of open descriptors of a process; -1 when they cannot be listed. */
int count_fds(pid_t pid);

#endif
