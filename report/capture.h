/* SPDX-License-Identifier: MIT */
/*
 * One capture from begin to end: asks loopscoped to watch running programs or a command that we
 * start, hands on what it says meanwhile, answers Ctrl-C, and brings the summary home. Prints
 * nothing.
 */
#ifndef LSC_CAPTURE_H
#define LSC_CAPTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CAPTURE_NAMES_MAX 64

/* A list of numbers as options collect it; done frees it. */
struct capture_ids {
	int *id; /* owns */
	size_t n;
};

/* What to capture. All borrowed. Either a command, or at least one of pids, names and cgroup. */
struct capture_options {
	struct capture_ids pids, tids, loop_threads;
	const char *names[CAPTURE_NAMES_MAX];
	size_t nnames;
	const char *cgroup;   /* NULL: none */
	char *const *command; /* NULL-terminated, or NULL */
	const char *user;     /* of the command; NULL: see child.h */
	const char *output;   /* replaced when it exists; NULL: a new COMM-PID.lsc */
	const char *require;  /* NULL, "bpf", "ring" */
	bool follow;
	uint64_t stall_ns, block_ns, ready_wait_ns;
	double max_overhead;  /* a share of one CPU */
	uint64_t max_bytes;   /* of the capture; 0: as large as it gets */
	uint64_t print_ns;    /* stalls from here are handed on live; 0: none */
	uint64_t duration_ns; /* 0: until stopped */
};

/* The defaults of contract and manual. */
void capture_options_init(struct capture_options *o);

/* Every message of the capture, in order: "loop", "ready", "stall", "notice", "end" and unknown
 * ones. Borrowed. */
typedef void capture_message_fn(const json_t *msg, void *arg);

struct capture_result {
	int exit_code;	    /* 0; or 2, 4, 125, 126, 127, 130: what the program should return */
	int command_status; /* of a command that ran, 128+n for signals; -1 none */
	char path[4096 +
		  1];	  /* of the capture, as a person in this directory would type it; "" none */
	char about[4400]; /* the loopscoped that did it; "" none */
};

/* 0 when the capture was finished and the summary ("end") handed on. Otherwise -errno, err says
 * why; a command that was already running is waited for in any case. *ret is always written. */
int capture(const struct capture_options *o, capture_message_fn *fn, void *arg,
	    struct capture_result *ret, struct lsc_err *err);

/* COMM-PID.lsc, COMM-PID.1.lsc, ...: the first that does not exist in the current directory. comm
 * may be hostile; pid 0 is left out. 0 or -EEXIST, -ENAMETOOLONG. */
int capture_name(const char *comm, int pid, char *ret_name, size_t size);

#endif
