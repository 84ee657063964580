/* SPDX-License-Identifier: MIT */
/* loopscope doctor: what works on this host, what not, and what would give it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture_args.h"
#include "client.h"
#include "command.h"
#include "field.h"
#include "live.h"
#include "terminal.h"

#define ANSWER_TIMEOUT_MS 60000 /* every probe is proven by an event */
#define EXIT_UNUSABLE	  4
#define DECISIVE	  "kernel probes"
#define TARGET		  "target"

enum { KEY_JSON = 0x200, KEY_COLOR };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Check what can be seen of this process too", 0},
	{"json", KEY_JSON, NULL, 0, "Print the checks as JSON", 0},
	{"color", KEY_COLOR, "WHEN", 0, "auto, always or never", 0},
	{0},
};

static const char doc[] = "Say what loopscope can see on this host, what not, and why."
			  "\vReturns 4 when kernel events cannot be captured here, or the\nprocess "
			  "cannot be watched.";

struct doctor {
	int pid; /* 0: none */
	bool json, color;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor *d = state->input;
	struct capture_ids ids = {0};

	switch (key) {
	case 'p':
		capture_arg_ids(state, "-p", arg, &ids);
		d->pid = ids.id[0];
		free(ids.id);
		if (ids.n > 1)
			command_misused(state, "-p: one process at a time");
		return 0;
	case KEY_JSON:
		d->json = true;
		return 0;
	case KEY_COLOR: {
		int color = live_color(arg, stdout);
		if (color < 0)
			command_misused(state, "--color: '%s' is none of auto, always, never", arg);
		d->color = color > 0;
		return 0;
	}
	case ARGP_KEY_ARG:
		command_misused(state, "'%s' is too much", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_table(const struct doctor *d, const json_t *checks, const char *about, FILE *out)
{
	size_t i, width = 0;
	json_t *check;

	live_text(about, out);
	fputc('\n', out);
	json_array_foreach(checks, i, check) {
		size_t n = strlen(field_text(check, "name") ?: "?");
		width = n > width && n <= 32 ? n : width;
	}
	json_array_foreach(checks, i, check) {
		const char *name = field_text(check, "name") ?: "?",
			   *status = field_text(check, "status") ?: "?";
		const char *detail = field_text(check, "detail"), *fix = field_text(check, "fix");

		if (d->color)
			fputs(!strcmp(status, "ok")	   ? "\033[32m"
			      : !strcmp(status, "missing") ? "\033[33m"
							   : "\033[31m",
			      out);
		live_text(status, out);
		if (d->color)
			fputs("\033[0m", out);
		fprintf(out, "%*s", strlen(status) < 9 ? (int)(9 - strlen(status)) : 1, "");
		live_text(name, out);
		if (detail) {
			fprintf(out, "%*s",
				strlen(name) < width + 2 ? (int)(width + 2 - strlen(name)) : 1, "");
			live_text(detail, out);
		}
		fputc('\n', out);
		if (fix) {
			fprintf(out, "%*sfix: ", (int)width + 11, "");
			live_text(fix, out);
			fputc('\n', out);
		}
	}
}

/* Whether kernel events can be captured at all, and the process watched: docs/control.md names the
 * checks that say so. */
static bool usable(const json_t *checks)
{
	size_t i;
	bool possible = false;
	json_t *check;

	json_array_foreach((json_t *)checks, i, check) {
		const char *name = field_text(check, "name"), *status = field_text(check, "status");
		if (!name || !status)
			continue;
		if (!strncmp(name, DECISIVE, strlen(DECISIVE)))
			possible = !strcmp(status, "ok");
		else if (!strcmp(name, TARGET) && strcmp(status, "ok"))
			return false;
	}
	return possible;
}

static int ask(struct client *c, int pid, json_t **ret_checks, struct lsc_err *err)
{
	json_t *msg = json_pack("{s:s, s:o}", "type", "doctor", "pid",
				pid ? json_integer(pid) : json_null());
	int r = client_send(c, msg, err);

	while (r >= 0) {
		r = client_next(c, ANSWER_TIMEOUT_MS, &msg, err);
		if (r < 0)
			break;
		const char *type = field_text(msg, "type");
		json_t *checks = json_object_get(msg, "checks");
		if (!strcmp(type, "doctor") && json_is_array(checks)) {
			*ret_checks = json_incref(checks);
			json_decref(msg);
			return 0;
		}
		if (!strcmp(type, "error"))
			r = lsc_err_set(err, -EPERM, "%s",
					field_text(msg, "text")
						?: "loopscoped gave up without a word");
		json_decref(msg);
	}
	return r;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct argp argp = {.options = options, .parser = parse, .doc = doc};
	struct doctor d = {.color = live_color(NULL, stdout) > 0};
	struct lsc_err err = {0};
	struct client *c = NULL;
	json_t *checks = NULL;

	if (command_parse(&argp, argc, argv, 0, &d) != 0)
		return EXIT_USAGE;
	int r = client_open(&c, &err);
	if (r == 0)
		r = ask(c, d.pid, &checks, &err);
	if (r < 0) {
		command_complain("doctor", err.text);
		client_close(c);
		return EXIT_UNUSABLE;
	}
	bool good = usable(checks);
	if (d.json) {
		json_t *doc_json =
			json_pack("{s:s, s:s, s:b, s:O}", "schema", "loopscope.doctor/1", "daemon",
				  client_describe(c), "usable", good, "checks", checks);
		r = doc_json ? command_print_json(doc_json, &err)
			     : lsc_err_set(&err, -ENOMEM, "out of memory");
		json_decref(doc_json);
	} else {
		lsc_autofclose FILE *out = terminal_fold(stdout);
		if (out) {
			print_table(&d, checks, client_describe(c), out);
			fflush(out);
		}
		r = out ? command_flush(&err) : lsc_err_set(&err, -ENOMEM, "out of memory");
	}
	json_decref(checks);
	client_close(c);
	if (r < 0)
		command_complain("doctor", err.text);
	return r == -ENOMEM ? EXIT_OWN : r < 0 ? EXIT_OUTPUT : good ? 0 : EXIT_UNUSABLE;
}
