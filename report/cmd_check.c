/* SPDX-License-Identifier: MIT */
/*
 * loopscope check: judge a capture by budgets, for CI. The capture is a file, or made here: of a
 * running process (-p), or of a command (-- COMMAND).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "capture_args.h"
#include "capture_run.h"
#include "check.h"
#include "command.h"
#include "live.h"
#include "terminal.h"

#define EXIT_FAILED	  1
#define EXIT_INCONCLUSIVE 3

enum {
	KEY_MAX_STALL = 0x200,
	KEY_MAX_FINDINGS,
	KEY_JSON,
	KEY_STALL,
	KEY_REQUIRE,
	KEY_USER,
	KEY_COLOR
};

static const struct argp_option options[] = {
	{"max-stall", KEY_MAX_STALL, "TIME", 0, "Fail when a stall is longer", 0},
	{"max-findings", KEY_MAX_FINDINGS, "SEV=N", 0,
	 "Fail when there are more than N findings of severity info, warning or error and above; "
	 "may be "
	 "repeated (without any budget: error=0)",
	 0},
	{"json", KEY_JSON, NULL, 0, "The verdict as JSON (loopscope.check/1)", 0},
	{"color", KEY_COLOR, "WHEN", 0, "auto, always or never; NO_COLOR is honoured", 0},
	{"pid", 'p', "PID", 0, "Judge this running process (with -d)", 1},
	{"duration", 'd', "TIME", 0, "Watch for this long; a bare number is seconds", 1},
	{"stall", KEY_STALL, "TIME", 0, "Ticks are recorded as stalls from here (10 ms)", 1},
	{"require", KEY_REQUIRE, "bpf|ring", 0,
	 "Fail when this source is absent, instead of seeing less", 1},
	{"user", KEY_USER, "NAME", 0, "Run COMMAND as this user", 1},
	{"quiet", 'q', NULL, 0, "No progress on standard error", 1},
	{0},
};

static const char doc[] = "Judge a capture, a running process or a command by budgets.\vReturns 0 "
			  "when all budgets are kept, 1 "
			  "when one is not, 3 when too little was seen to say so, 4 when it cannot "
			  "attach; of a COMMAND that "
			  "failed, its own exit status.";

struct request {
	const char *path; /* of an existing capture */
	struct capture_ids pids;
	char *const *command;
	uint64_t duration_ns, stall_ns;
	const char *require, *user;
	bool json, quiet;
	int color;
	struct check check;
	/* of the capture that is made here */
	char directory[64], made[80];
	int command_status; /* -1 none */
};

static void check_sources(struct request *req, const struct argp_state *state)
{
	int n = (req->path != NULL) + (req->pids.n > 0) + (req->command != NULL);

	if (!n)
		command_misused(state, "what to judge? FILE.lsc, -p PID -d TIME, or -- COMMAND");
	if (n > 1)
		command_misused(state, "only one of FILE.lsc, -p PID and -- COMMAND can be judged");
	if (req->pids.n && !req->duration_ns)
		command_misused(state, "-p needs -d TIME, longer than 0: how long to watch");
	if (req->require && strcmp(req->require, "bpf") != 0 && strcmp(req->require, "ring") != 0)
		command_misused(state, "--require takes bpf or ring");
}

static void take_budget(struct argp_state *state, int r, const char *option, const char *arg,
			const char *form)
{
	if (r == -E2BIG)
		command_misused(state, "more than %d budgets", CHECK_BUDGETS_MAX);
	else if (r < 0)
		command_misused(state, "%s takes %s, not '%s'", option, form, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *req = state->input;

	switch (key) {
	case KEY_MAX_STALL:
		take_budget(state, check_add_max_stall(&req->check, arg), "--max-stall", arg,
			    "a TIME");
		return 0;
	case KEY_MAX_FINDINGS:
		take_budget(state, check_add_max_findings(&req->check, arg), "--max-findings", arg,
			    "info=N, warning=N or error=N");
		return 0;
	case KEY_JSON:
		req->json = true;
		return 0;
	case KEY_COLOR:
		req->color = live_color(arg, stdout);
		if (req->color < 0)
			command_misused(state, "--color takes auto, always or never");
		return 0;
	case KEY_STALL:
		req->stall_ns = capture_arg_time(state, "--stall", arg, LSC_NS_PER_MS);
		return 0;
	case KEY_REQUIRE:
		req->require = arg;
		return 0;
	case KEY_USER:
		req->user = arg;
		return 0;
	case 'p':
		capture_arg_ids(state, "-p", arg, &req->pids);
		return 0;
	case 'd':
		req->duration_ns = capture_arg_time(state, "-d", arg, LSC_NS_PER_S);
		return 0;
	case 'q':
		req->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (req->path)
			command_misused(state,
					"only one capture at a time; a command comes after --");
		req->path = arg;
		return 0;
	case ARGP_KEY_END:
		check_sources(req, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Makes the capture in a directory of its own, which is removed in the end. */
static int make_capture(struct request *req, struct lsc_err *err)
{
	const char *base = getenv("TMPDIR");
	int exit_code = EXIT_OWN;

	if (!base || base[0] != '/' ||
	    snprintf(req->directory, sizeof(req->directory), "%s/loopscope-XXXXXX", base) >=
		    (int)sizeof(req->directory))
		snprintf(req->directory, sizeof(req->directory), "/tmp/loopscope-XXXXXX");
	if (!mkdtemp(req->directory)) {
		lsc_err_set(err, -errno, "cannot make '%s': %s", req->directory, strerror(errno));
		req->directory[0] = '\0';
		return EXIT_OWN;
	}
	snprintf(req->made, sizeof(req->made), "%s/check.lsc", req->directory);
	uint64_t stall_ns = req->stall_ns ? req->stall_ns : 10 * LSC_NS_PER_MS;
	for (size_t i = 0; !req->stall_ns && i < req->check.nbudgets; i++) {
		const struct check_budget *b = &req->check.budgets[i];
		if (!b->findings && b->limit && b->limit < stall_ns)
			stall_ns = b->limit; /* what is to be judged has to be recorded */
	}
	const struct capture_request make = {
		.pids = req->pids.id,
		.npids = req->pids.n,
		.command = req->command,
		.duration_ns = req->duration_ns,
		.stall_ns = stall_ns,
		.output = req->made,
		.require = req->require,
		.user = req->user,
		.quiet = req->quiet,
	};
	if (capture_run(&make, &req->command_status, err, &exit_code) < 0)
		return exit_code;
	req->path = req->made;
	return 0;
}

static void remove_capture(struct request *req)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[96];

	if (!req->directory[0])
		return;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", req->made, suffixes[i]);
		unlink(path);
	}
	rmdir(req->directory);
}

static int exit_status(const struct request *req)
{
	if (req->command_status > 0)
		return req->command_status;
	return req->check.status == CHECK_FAIL		 ? EXIT_FAILED
	       : req->check.status == CHECK_INCONCLUSIVE ? EXIT_INCONCLUSIVE
							 : 0;
}

static int print(struct request *req, const struct analysis *a, int status, struct lsc_err *err)
{
	if (req->json) {
		json_t *json = check_json(&req->check, a, req->directory[0] ? NULL : req->path,
					  req->command_status, status);

		if (!json)
			return lsc_err_set(err, -ENOMEM, "out of memory");
		int r = command_print_json(json, err);
		json_decref(json);
		return r;
	}
	lsc_autofclose FILE *out = terminal_fold(stdout);
	const struct text_options text = {.color = req->color, .width = terminal_width(stdout)};
	if (!out)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	check_print(&req->check, a, &text, out);
	fflush(out);
	return command_flush(err);
}

/* The exit status; err is filled when there is something to complain about. */
static int judge(struct request *req, struct lsc_err *err)
{
	struct analysis a;
	struct store *s;
	int own = req->directory[0] ? EXIT_OWN : EXIT_USAGE; /* or EXIT_OUTPUT */

	if (store_open(req->path, &s, err) < 0)
		return own;
	int r = analysis_run(s, &a, err);
	store_close(s);
	if (r < 0)
		return own;
	req->check.partial = req->pids.n && a.end_reason &&
			     (!strcmp(a.end_reason, "user") || !strcmp(a.end_reason, "size"));
	if (check_judge(&req->check, &a) < 0) {
		lsc_err_set(err, -ENOMEM, "out of memory");
		r = EXIT_OWN;
	} else {
		r = exit_status(req);
		int printed = print(req, &a, r, err);
		if (printed < 0 && req->command_status <= 0)
			r = printed == -ENOMEM ? EXIT_OWN : own;
	}
	analysis_done(&a);
	return r;
}

/* What follows the first -- is the command. */
static void take_command(struct request *req, int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		req->command = i + 1 < *argc ? &argv[i + 1] : NULL;
		*argc = i;
	}
}

int cmd_check(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "FILE.lsc\n-p PID -d TIME\n-- COMMAND [ARGUMENT...]", doc, NULL,
		NULL,	 NULL};
	struct request req = {
		.color = live_color(NULL, stdout),
		.command_status = -1,
	};
	struct lsc_err err = {0};
	int status = 0;

	take_command(&req, &argc, argv);
	if (command_parse(&argp, argc, argv, 0, &req) != 0)
		return EXIT_USAGE;
	if (!req.path)
		status = make_capture(&req, &err);
	if (!status)
		status = judge(&req, &err);
	remove_capture(&req);
	check_done(&req.check);
	if (err.code)
		command_complain("check", err.text);
	return status;
}
