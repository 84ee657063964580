/* SPDX-License-Identifier: MIT */
/* The command line options that attach and record share, as an argp child parser. */
#ifndef LSC_CAPTURE_ARGS_H
#define LSC_CAPTURE_ARGS_H

#include <argp.h>

#include "capture.h"

struct capture_args {
	struct capture_options o;
	const char *color; /* NULL: auto */
	bool quiet, verbose;
};

/* Its input is a struct capture_args, filled by capture_options_init(). Bad values end the program
 * with a usage error. */
extern const struct argp capture_argp;

/* Parses TIME or ends the program with a usage error. */
uint64_t capture_arg_time(const struct argp_state *state, const char *option, const char *text,
			  uint64_t bare_ns);

/* Adds the numbers of "1,2,3" to ids, or ends the program with a usage error. */
void capture_arg_ids(const struct argp_state *state, const char *option, const char *text,
		     struct capture_ids *ids);

/* After the capture, on stderr: with -v who did it; when it failed why, and what there is of it. */
void capture_args_tell(const struct capture_args *a, const char *command,
		       const struct capture_result *result, const struct lsc_err *failure);

#endif
