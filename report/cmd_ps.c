/* SPDX-License-Identifier: MIT */
/* loopscope ps: the event loops of this host, or the loops and tasks of one process. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture_args.h"
#include "client.h"
#include "command.h"
#include "field.h"
#include "live.h"
#include "ps_text.h"
#include "terminal.h"

#define ANSWER_TIMEOUT_MS 60000 /* it observes for a second; a crowded host takes longer */
#define EXIT_NONE	  1
#define EXIT_UNSEEN	  4

enum { KEY_JSON = 0x200, KEY_COLOR };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "The same as PID", 0},
	{"json", KEY_JSON, NULL, 0, "Print loops and tasks as JSON", 0},
	{"color", KEY_COLOR, "WHEN", 0, "auto, always or never", 0},
	{0},
};

static const char doc[] = "List the event loops of this host, or with PID the loops of that "
			  "process and its tasks as a "
			  "tree of who awaits whom.\vIt observes for a second; the processes are "
			  "not stopped.\n\nReturns "
			  "1 when no event loop was found, 4 when the process cannot be looked "
			  "at\nor the privilege to "
			  "find any is missing.";

struct ps {
	int pid; /* 0: the host */
	bool json, color;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ps *p = state->input;
	struct capture_ids ids = {0};

	switch (key) {
	case KEY_JSON:
		p->json = true;
		return 0;
	case KEY_COLOR: {
		int color = live_color(arg, stdout);
		if (color < 0)
			command_misused(state, "--color: '%s' is none of auto, always, never", arg);
		p->color = color > 0;
		return 0;
	}
	case 'p':
	case ARGP_KEY_ARG:
		if (p->pid)
			command_misused(state, "one process at a time");
		capture_arg_ids(state, key == 'p' ? "-p" : "PID", arg, &ids);
		p->pid = ids.id[0];
		free(ids.id);
		if (ids.n > 1)
			command_misused(state, "one process at a time");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- asking ---- */

/* A list of a loop's, under key: its array grows with each message. */
static void take_list(json_t *doc_json, const json_t *msg, const char *key, const char *omitted)
{
	json_t *loop, *list;
	size_t i;

	json_array_foreach(json_object_get(doc_json, "loops"), i, loop) {
		if (field_int(loop, "tid", 0) != field_int(msg, "tid", -1))
			continue;
		list = json_object_get(loop, key);
		if (!json_is_array(list)) {
			json_object_set_new(loop, key, json_array());
			list = json_object_get(loop, key);
		}
		json_array_extend(list, json_object_get(msg, key));
		json_object_set(loop, omitted, json_object_get(msg, "omitted"));
	}
}

/* More of whom a task awaits. */
static void take_awaits(json_t *doc_json, const json_t *msg)
{
	json_t *task;
	size_t i;

	json_array_foreach(json_object_get(doc_json, "tasks"), i, task)
		if (field_int(task, "id", 0) == field_int(msg, "id", -1))
			json_array_extend(json_object_get(task, "awaits"),
					  json_object_get(msg, "awaits"));
}

/* What a message adds to the document. 1: it was the last. */
static int take_message(json_t *doc_json, const json_t *msg, struct lsc_err *err)
{
	const char *type = field_text(msg, "type");

	if (!strcmp(type, "error"))
		return lsc_err_set(err, -EPERM, "%s",
				   field_text(msg, "text") ?: "loopscoped gave up without a word");
	if (!strcmp(type, "ps-loops"))
		json_array_extend(json_object_get(doc_json, "loops"),
				  json_object_get(msg, "loops"));
	else if (!strcmp(type, "ps-awaits"))
		take_awaits(doc_json, msg);
	else if (!strcmp(type, "ps-watched"))
		take_list(doc_json, msg, "watched", "watched_omitted");
	else if (!strcmp(type, "ps-handles"))
		take_list(doc_json, msg, "handles", "handles_omitted");
	else if (!strcmp(type, "ps-tasks"))
		json_array_extend(json_object_get(doc_json, "tasks"),
				  json_object_get(msg, "tasks"));
	if (strcmp(type, "ps-end"))
		return 0;
	static const char *const keys[] = {"comm",    "processes",  "main_thread", "changed",
					   "omitted", "reading_ns", "unseen"};
	for (size_t i = 0; i < LSC_ARRAY_LEN(keys); i++)
		json_object_set(doc_json, keys[i], json_object_get(msg, keys[i]));
	return 1;
}

static int ask(struct client *c, int pid, json_t **ret_doc, struct lsc_err *err)
{
	json_t *msg =
		json_pack("{s:s, s:o}", "type", "ps", "pid", pid ? json_integer(pid) : json_null());
	json_t *d = json_pack("{s:s, s:o, s:[], s:o, s:[]}", "schema", "loopscope.ps/1", "pid",
			      pid ? json_integer(pid) : json_null(), "loops", "tasks",
			      pid ? json_array() : json_null(), "cycles");
	int r = d ? client_send(c, msg, err) : lsc_err_set(err, -ENOMEM, "out of memory");

	while (r >= 0) {
		r = client_next(c, ANSWER_TIMEOUT_MS, &msg, err);
		if (r < 0)
			break;
		r = take_message(d, msg, err);
		json_decref(msg);
		if (r == 1) {
			*ret_doc = d;
			return 0;
		}
	}
	json_decref(d);
	return r;
}

/* ---- telling ---- */

static int print(const struct ps *p, const json_t *d, const struct ps_graph *g, struct lsc_err *err)
{
	int r = 0;

	if (p->json)
		return command_print_json(d, err);
	lsc_autofclose FILE *out = terminal_fold(stdout);
	const struct page page = {.out = out, .color = p->color, .width = terminal_width(stdout)};
	if (!out)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	if (p->pid)
		ps_text_held(&page, json_object_get(d, "main_thread"));
	if (p->pid && (json_array_size(json_object_get(d, "loops")) || g->n))
		r = ps_text_tasks(&page, d, g);
	else if (json_array_size(json_object_get(d, "loops")))
		ps_text_loops(&page, json_object_get(d, "loops"));
	fflush(out);
	return r < 0 ? lsc_err_set(err, r, "%s", strerror(-r)) : command_flush(err);
}

/* One line for each thing that is missing, and whether there is a loop at all. */
static int conclude(const struct ps *p, const json_t *d)
{
	const json_t *unseen = json_object_get(d, "unseen"), *u;
	bool found = json_array_size(json_object_get(d, "loops")) ||
		     json_array_size(json_object_get(d, "tasks"));
	uint64_t changed = field_u64(d, "changed"), omitted = field_u64(d, "omitted");
	bool blind = false;
	char text[400];
	size_t i;

	json_array_foreach(unseen, i, u) {
		const char *what = field_text(u, "what");
		snprintf(text, sizeof(text), "%s: not seen: %s", what ?: "?",
			 field_text(u, "why") ?: "unknown");
		command_complain("ps", text);
		blind |= what && !strcmp(what, "loops without a ring");
	}
	if (changed) {
		snprintf(text, sizeof(text), "%llu task%s changed while being read",
			 (unsigned long long)changed, changed == 1 ? "" : "s");
		command_complain("ps", text);
	}
	if (omitted) {
		snprintf(text, sizeof(text), "%llu tasks were left out: there are too many",
			 (unsigned long long)omitted);
		command_complain("ps", text);
	}
	if (found)
		return 0;
	if (p->pid)
		snprintf(text, sizeof(text), "process %d (%s): no event loop found", p->pid,
			 field_text(d, "comm") ?: "?");
	else
		snprintf(text, sizeof(text), "no event loop found in %llu processes",
			 (unsigned long long)field_u64(d, "processes"));
	command_complain("ps", text);
	return blind ? EXIT_UNSEEN : EXIT_NONE;
}

int cmd_ps(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[PID]", .doc = doc};
	struct ps p = {.color = live_color(NULL, stdout) > 0};
	struct lsc_err err = {0};
	struct client *c = NULL;
	json_t *d = NULL;

	if (command_parse(&argp, argc, argv, 0, &p) != 0)
		return EXIT_USAGE;
	int r = client_open(&c, &err);
	if (r == 0)
		r = ask(c, p.pid, &d, &err);
	client_close(c);
	if (r < 0) {
		command_complain("ps", err.text);
		return EXIT_UNSEEN;
	}
	struct ps_graph *g = ps_graph_new(json_object_get(d, "tasks"));
	json_t *cycles = g ? ps_graph_cycles(g) : NULL;
	r = cycles && json_object_set_new(d, "cycles", cycles) == 0
		    ? print(&p, d, g, &err)
		    : lsc_err_set(&err, -ENOMEM, "out of memory");
	if (r < 0)
		command_complain("ps", err.text);
	int status = r == -ENOMEM ? EXIT_OWN : r < 0 ? EXIT_OUTPUT : conclude(&p, d);
	ps_graph_free(g);
	json_decref(d);
	return status;
}
