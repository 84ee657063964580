/* SPDX-License-Identifier: MIT */
/* loopscope attach: watch running programs until Ctrl-C, their end, or a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture_args.h"
#include "command.h"
#include "field.h"
#include "live.h"
#include "terminal.h"

#define PRINT_DEFAULT_NS (50 * LSC_NS_PER_MS)

enum { KEY_NAME = 0x200, KEY_CGROUP, KEY_PRINT, KEY_TID, KEY_LOOP_THREAD, KEY_JSON };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Watch these processes: 1, or 1,2,3, or -p 1 2 3", 0},
	{"name", KEY_NAME, "COMM", 0,
	 "Watch the processes of this name, also those that come later; may be repeated", 0},
	{"cgroup", KEY_CGROUP, "PATH", 0,
	 "Watch the processes of this control group and those below it, also later ones", 0},
	{"tid", KEY_TID, "TID", 0, "Only these threads", 0},
	{"loop-thread", KEY_LOOP_THREAD, "TID", 0,
	 "This thread is an event loop, whatever it waits in", 0},
	{"duration", 'd', "TIME", 0, "Stop after this time; a bare number is seconds", 0},
	{"print", KEY_PRINT, "TIME", 0, "Print stalls from here as they happen (50 ms; 0: none)",
	 0},
	{"json", KEY_JSON, NULL, 0, "One JSON event a line; the last is the summary", 0},
	{0},
};

static const char doc[] =
	"Watch the event loops of running programs, print what holds them, and write a capture."
	"\vTIME takes ns us ms s m; a bare number is milliseconds. Ctrl-C once: stop, write, "
	"summarise; twice: abort. Needs root, or the capabilities that `loopscope doctor` names.";

struct attach {
	struct capture_args common;
	struct live_options live;
	struct capture_result result;
	uint64_t loops;
	FILE *out;	/* owns; stdout, in the terminal's width */
	bool unwritten; /* something that was to be printed */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct attach *a = state->input;
	struct capture_options *o = &a->common.o;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->common;
		return 0;
	case 'p':
		capture_arg_ids(state, "-p", arg, &o->pids);
		return 0;
	case ARGP_KEY_ARG:
		if (!o->pids.n) {
			command_misused(state, "'%s' is too much: processes are named with -p",
					arg);
			return EINVAL;
		}
		capture_arg_ids(state, "-p", arg, &o->pids);
		return 0;
	case KEY_NAME:
		if (!*arg)
			command_misused(state, "--name: '' is not a process's name");
		if (o->nnames == CAPTURE_NAMES_MAX)
			command_misused(state, "--name: too many");
		o->names[o->nnames++] = arg;
		return 0;
	case KEY_CGROUP:
		if (!*arg || o->cgroup)
			command_misused(state, "--cgroup: one path of a control group");
		o->cgroup = arg;
		return 0;
	case KEY_TID:
		capture_arg_ids(state, "--tid", arg, &o->tids);
		return 0;
	case KEY_LOOP_THREAD:
		capture_arg_ids(state, "--loop-thread", arg, &o->loop_threads);
		return 0;
	case 'd':
		o->duration_ns = capture_arg_time(state, "-d", arg, LSC_NS_PER_S);
		if (!o->duration_ns)
			command_misused(state, "-d takes a time longer than 0");
		return 0;
	case KEY_PRINT:
		o->print_ns = capture_arg_time(state, "--print", arg, LSC_NS_PER_MS);
		return 0;
	case KEY_JSON:
		a->live.json = true;
		return 0;
	case ARGP_KEY_END:
		if (!o->pids.n && !o->nnames && !o->cgroup)
			command_misused(state, "whom? Give -p PID, --name COMM or --cgroup PATH");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void on_message(const json_t *msg, void *arg)
{
	struct attach *a = arg;
	const char *type = field_text(msg, "type"), *text = field_text(msg, "text");

	if (!strcmp(type, "loop") && ++a->loops > 1)
		a->live.many = true;
	if (!strcmp(type, "notice") && text && !a->common.quiet)
		command_complain("attach", text);
	live_message(&a->live, msg, a->result.path, a->live.json ? stdout : a->out);
	struct lsc_err err;
	if (command_flush(&err) == 0)
		return;
	if (!a->unwritten)
		command_complain("attach", err.text);
	a->unwritten = true;
}

int cmd_attach(int argc, char **argv)
{
	static const struct argp_child children[] = {{&capture_argp, 0, "", 1}, {0}};
	static const struct argp argp = {.options = options,
					 .parser = parse,
					 .doc = doc,
					 .args_doc = "-p PID...\n--name COMM\n--cgroup PATH",
					 .children = children};
	struct attach a = {0};
	struct capture_options *o = &a.common.o;
	struct lsc_err err = {0};

	capture_options_init(o);
	o->print_ns = PRINT_DEFAULT_NS;
	int r = command_parse(&argp, argc, argv, 0, &a);
	if (r == 0)
		a.out = terminal_fold(stdout);
	if (a.out) {
		a.live.color = live_color(a.common.color, stdout) > 0;
		a.live.verbose = a.common.verbose;
		r = capture(o, on_message, &a, &a.result, &err);
		capture_args_tell(&a.common, "attach", &a.result, r < 0 ? &err : NULL);
		fclose(a.out);
	} else {
		a.result.exit_code = r == 0 ? EXIT_OWN : EXIT_USAGE;
	}
	free(o->pids.id);
	free(o->tids.id);
	free(o->loop_threads.id);
	return a.result.exit_code == 0 && a.unwritten ? EXIT_OUTPUT : a.result.exit_code;
}
