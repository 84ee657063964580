/* SPDX-License-Identifier: MIT */
/* loopscope record: run a command under watch. Its stdout and exit status stay its own. */
#include <stdio.h>
#include <string.h>

#include "capture_args.h"
#include "command.h"
#include "field.h"
#include "live.h"

enum { KEY_USER = 0x200 };

static const struct argp_option options[] = {
	{"user", KEY_USER, "NAME", 0, "Run COMMAND as this user (default: the one behind sudo)", 0},
	{0},
};

static const char doc[] =
	"Run COMMAND and watch its event loops from their first turn."
	"\vTIME takes ns us ms s m; a bare number is milliseconds. Returns the command's exit "
	"status (128+n for signals); 125 for failures of loopscope, 126 or 127 when COMMAND "
	"cannot be run.";

struct record {
	struct capture_args common;
	struct capture_result result;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct record *rec = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &rec->common;
		return 0;
	case KEY_USER:
		rec->common.o.user = arg;
		return 0;
	case ARGP_KEY_ARG: /* the command's own options are not ours */
		rec->common.o.command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		command_misused(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void on_message(const json_t *msg, void *arg)
{
	struct record *rec = arg;
	const struct live_options live = {.color = false, .verbose = rec->common.verbose};
	const char *type = field_text(msg, "type"), *text = field_text(msg, "text");

	if (rec->common.quiet)
		return;
	if (!strcmp(type, "notice") && text)
		command_complain("record", text);
	else if (!strcmp(type, "end"))
		live_summary(&live, msg, rec->result.path, stderr);
}

int cmd_record(int argc, char **argv)
{
	static const struct argp_child children[] = {{&capture_argp, 0, "", 1}, {0}};
	static const struct argp argp = {.options = options,
					 .parser = parse,
					 .doc = doc,
					 .args_doc = "[--] COMMAND [ARGUMENT...]",
					 .children = children};
	struct record rec = {0};
	struct lsc_err err = {0};

	capture_options_init(&rec.common.o);
	rec.common.o.follow = true;
	if (command_parse(&argp, argc, argv, ARGP_IN_ORDER, &rec) != 0)
		return EXIT_USAGE;
	int r = capture(&rec.common.o, on_message, &rec, &rec.result, &err);
	capture_args_tell(&rec.common, "record", &rec.result, r < 0 ? &err : NULL);
	/* A command that failed speaks for itself, even when we failed too. */
	return rec.result.command_status > 0 ? rec.result.command_status : rec.result.exit_code;
}
