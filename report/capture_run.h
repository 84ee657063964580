/* SPDX-License-Identifier: MIT */
/* A capture made for a command that goes on to read it (check): attach to processes or run a
 * command. */
#ifndef LSC_CAPTURE_RUN_H
#define LSC_CAPTURE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct capture_request {
	const int *pids;
	size_t npids;
	char *const *command; /* NULL-terminated, or NULL */
	uint64_t duration_ns, stall_ns;
	const char *output;
	const char *require;
	const char *user;
	bool quiet;
};

/* 0, or -errno with *ret_exit_code what the program should return (2, 4, 125, ...).
 * *ret_command_status: 128+n for signals; -1 none. */
int capture_run(const struct capture_request *req, int *ret_command_status, struct lsc_err *err,
		int *ret_exit_code);

#endif
