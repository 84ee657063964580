/* SPDX-License-Identifier: MIT */
/* Shared options of the capturing commands. Like all command line code it may print and exit. */
#include "capture_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/duration.h"
#include "command.h"

#define CAPTURE_BYTES_MIN (1ull << 20) /* an empty one takes some 100 KiB */

enum {
	KEY_STALL = 0x100,
	KEY_BLOCK,
	KEY_READY_WAIT,
	KEY_FOLLOW,
	KEY_NO_FOLLOW,
	KEY_REQUIRE,
	KEY_MAX_OVERHEAD,
	KEY_MAX_SIZE,
	KEY_COLOR
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0,
	 "The capture to write, replaced when it exists (default: COMM-PID.lsc, numbered)", 1},
	{"stall", KEY_STALL, "TIME", 0, "Record turns of a loop from here as stalls (10 ms)", 1},
	{"block", KEY_BLOCK, "TIME", 0, "Record blocking calls from here (1 ms)", 1},
	{"ready-wait", KEY_READY_WAIT, "TIME", 0,
	 "Record waits for the loop singly from here (5 ms)", 1},
	{"follow", KEY_FOLLOW, NULL, 0, "Watch descendants too", 1},
	{"no-follow", KEY_NO_FOLLOW, NULL, 0, "Do not watch descendants", 1},
	{"max-overhead", KEY_MAX_OVERHEAD, "PCT", 0,
	 "Leave out detail from this overhead on, in % of a CPU (1)", 1},
	{"max-size", KEY_MAX_SIZE, "SIZE", 0,
	 "Bound of the capture, like 64M: attach ends there, record loses the rest (1G; 0: none)",
	 1},
	{"require", KEY_REQUIRE, "bpf|ring", 0,
	 "Fail when this source is absent, instead of seeing less", 1},
	{"color", KEY_COLOR, "WHEN", 0, "auto, always or never", 2},
	{"quiet", 'q', NULL, 0, "No notices", 2},
	{"verbose", 'v', NULL, 0, "Say more on stderr, account for the events at the end", 2},
	{0},
};

uint64_t capture_arg_time(const struct argp_state *state, const char *option, const char *text,
			  uint64_t bare_ns)
{
	uint64_t ns = 0;

	if (lsc_duration_parse(text, bare_ns, &ns) < 0)
		command_misused(state, "%s: '%s' is not a time (like 10ms, 1.5s)", option, text);
	return ns;
}

void capture_arg_ids(const struct argp_state *state, const char *option, const char *text,
		     struct capture_ids *ids)
{
	for (const char *s = text;; s++) {
		char *end;

		errno = 0;
		long v = strtol(s, &end, 10);
		if (*s < '0' || *s > '9' || errno || v <= 0 || v > INT32_MAX ||
		    (*end && *end != ','))
			command_misused(state, "%s: '%s' is not a number of a process or thread",
					option, text);
		int *more = reallocarray(ids->id, ids->n + 1, sizeof(*more));
		if (!more)
			argp_failure(state, 125, ENOMEM, "%s", option);
		ids->id = more;
		ids->id[ids->n++] = (int)v;
		if (!*end)
			return;
		s = end;
	}
}

/* "1", "0.5%": of one CPU. */
static double parse_share(const struct argp_state *state, const char *text)
{
	char *end;
	double v = strtod(text, &end);

	end += *end == '%';
	if (end == text || *end || !(v > 0 && v <= 100))
		command_misused(state, "--max-overhead: '%s' is no percentage above 0", text);
	return v / 100;
}

static uint64_t parse_size(const struct argp_state *state, const char *text)
{
	uint64_t bytes = 0;

	if (lsc_bytes_parse(text, &bytes) < 0 || (bytes && bytes < CAPTURE_BYTES_MIN))
		command_misused(state, "--max-size: '%s' is no size of at least 1M (like 64M, 2G)",
				text);
	return bytes;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct capture_args *a = state->input;

	switch (key) {
	case 'o':
		if (!strcmp(arg, "-"))
			command_misused(
				state,
				"a capture is a database file and cannot be written to stdout");
		a->o.output = arg;
		return 0;
	case KEY_STALL:
		a->o.stall_ns = capture_arg_time(state, "--stall", arg, LSC_NS_PER_MS);
		return 0;
	case KEY_BLOCK:
		a->o.block_ns = capture_arg_time(state, "--block", arg, LSC_NS_PER_MS);
		return 0;
	case KEY_READY_WAIT:
		a->o.ready_wait_ns = capture_arg_time(state, "--ready-wait", arg, LSC_NS_PER_MS);
		return 0;
	case KEY_FOLLOW:
	case KEY_NO_FOLLOW:
		a->o.follow = key == KEY_FOLLOW;
		return 0;
	case KEY_REQUIRE:
		if (strcmp(arg, "bpf") && strcmp(arg, "ring"))
			command_misused(state, "--require: '%s' is neither bpf nor ring", arg);
		a->o.require = arg;
		return 0;
	case KEY_MAX_OVERHEAD:
		a->o.max_overhead = parse_share(state, arg);
		return 0;
	case KEY_MAX_SIZE:
		a->o.max_bytes = parse_size(state, arg);
		return 0;
	case KEY_COLOR:
		if (strcmp(arg, "auto") && strcmp(arg, "always") && strcmp(arg, "never"))
			command_misused(state, "--color: '%s' is none of auto, always, never", arg);
		a->color = arg;
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	case 'v':
		a->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp capture_argp = {.options = options, .parser = parse};

void capture_args_tell(const struct capture_args *a, const char *command,
		       const struct capture_result *result, const struct lsc_err *failure)
{
	char text[sizeof(failure->text) + sizeof(result->path) + 32];

	if (a->verbose && result->about[0])
		command_complain(command, result->about);
	if (!failure)
		return;
	if (result->path[0] && access(result->path, F_OK) == 0)
		snprintf(text, sizeof(text), "%s; captured until then: %s", failure->text,
			 result->path);
	else
		snprintf(text, sizeof(text), "%s", failure->text);
	command_complain(command, text);
}
