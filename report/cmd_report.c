/* SPDX-License-Identifier: MIT */
/* loopscope report: what happened in a capture, as text, JSON or HTML. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "command.h"
#include "html.h"
#include "live.h"
#include "output.h"
#include "terminal.h"
#include "text.h"

enum { KEY_TEXT = 0x200, KEY_JSON, KEY_HTML, KEY_COLOR };

enum form { FORM_TEXT, FORM_JSON, FORM_HTML, FORM_COUNT };

static const struct argp_option options[] = {
	{"text", KEY_TEXT, NULL, 0, "Text on standard output (the default)", 0},
	{"json", KEY_JSON, "FILE", OPTION_ARG_OPTIONAL, "JSON (loopscope.report/1)", 0},
	{"html", KEY_HTML, "FILE", OPTION_ARG_OPTIONAL, "One HTML page", 0},
	{"color", KEY_COLOR, "WHEN", 0, "auto, always or never; NO_COLOR is honoured", 0},
	{0},
};

static const char doc[] =
	"Say what happened in a capture: which task or callback held the event loop, on "
	"what, for how long, and who waited.\vWithout =FILE a form goes to standard output; "
	"only one can.";

struct request {
	const char *capture;
	bool wanted[FORM_COUNT];
	const char *path[FORM_COUNT]; /* NULL: standard output */
	int color;
};

static void want(struct request *req, enum form f, const char *path)
{
	req->wanted[f] = true;
	req->path[f] = path;
}

static void check(struct request *req, const struct argp_state *state)
{
	int to_stdout = 0;

	if (!req->capture)
		command_misused(state, "which capture? (a file *.lsc)");
	for (int f = 0; f < FORM_COUNT; f++)
		to_stdout += req->wanted[f] && !req->path[f];
	if (req->path[FORM_JSON] && req->path[FORM_HTML] &&
	    !strcmp(req->path[FORM_JSON], req->path[FORM_HTML]))
		command_misused(state, "--json and --html cannot both be written to '%s'",
				req->path[FORM_JSON]);
	if (to_stdout > 1)
		command_misused(
			state,
			"only one form can go to standard output: give --json=FILE or --html=FILE");
	if (!req->wanted[FORM_JSON] && !req->wanted[FORM_HTML])
		req->wanted[FORM_TEXT] = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *req = state->input;

	switch (key) {
	case KEY_TEXT:
		want(req, FORM_TEXT, NULL);
		return 0;
	case KEY_JSON:
		want(req, FORM_JSON, arg);
		return 0;
	case KEY_HTML:
		want(req, FORM_HTML, arg);
		return 0;
	case KEY_COLOR:
		req->color = live_color(arg, stdout);
		if (req->color < 0)
			command_misused(state, "--color takes auto, always or never");
		return 0;
	case ARGP_KEY_ARG:
		if (req->capture)
			command_misused(state,
					req->wanted[FORM_JSON] || req->wanted[FORM_HTML]
						? "only one capture at a time, not '%s' and '%s'; "
						  "where it is written to follows a =, as in "
						  "--html=FILE"
						: "only one capture at a time, not '%s' and '%s'",
					req->capture, arg);
		req->capture = arg;
		return 0;
	case ARGP_KEY_END:
		check(req, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* On stdout it is a person that reads it. */
static int print_text(const struct request *req, const struct analysis *a)
{
	const struct text_options text = {
		.name = req->capture, .color = req->color, .width = terminal_width(stdout)};
	lsc_autofclose FILE *out = terminal_fold(stdout);

	return out ? text_render(a, &text, out) : -ENOMEM;
}

static int write_form(const struct request *req, const struct analysis *a, const json_t *json,
		      enum form f, FILE *out)
{
	int r;

	if (f == FORM_TEXT)
		return print_text(req, a);
	if (f == FORM_HTML)
		r = html_render(json, out);
	else
		r = json_dumpf(json, out, JSON_INDENT(1) | JSON_ENSURE_ASCII) ||
				    fputc('\n', out) == EOF
			    ? -EIO
			    : 0;
	return r ? r : fflush(out) || ferror(out) ? -EIO : 0;
}

/* A failed write with the reason that the system gave, if it did. */
static int why(int r)
{
	return r == -EIO && errno ? -errno : r;
}

/* A form that would take the place of the capture itself. */
static int check_places(const struct request *req, struct lsc_err *err)
{
	struct stat capture, place;

	if (stat(req->capture, &capture) < 0)
		return 0; /* opening it will tell */
	for (int f = 0; f < FORM_COUNT; f++)
		if (req->path[f] && !stat(req->path[f], &place) && place.st_dev == capture.st_dev &&
		    place.st_ino == capture.st_ino)
			return lsc_err_set(err, -EINVAL,
					   "'%s' is the capture itself: name another file",
					   req->path[f]);
	return 0;
}

static int put_form(const struct request *req, const struct analysis *a, const json_t *json,
		    enum form f, struct lsc_err *err)
{
	struct output o;
	int r;

	errno = 0;
	if (!req->path[f]) {
		r = write_form(req, a, json, f, stdout);
		int flushed = command_flush(err);
		return flushed < 0 ? flushed
		       : r < 0	   ? lsc_err_set(err, r, "cannot make the report: %s", strerror(-r))
				   : 0;
	}
	r = output_open(req->path[f], &o, err);
	if (r < 0)
		return r;
	errno = 0;
	r = why(write_form(req, a, json, f, o.file));
	if (!r)
		return output_finish(&o, err);
	output_drop(&o);
	return lsc_err_set(err, r, "cannot write '%s': %s", req->path[f], strerror(-r));
}

static int report(const struct request *req, struct lsc_err *err)
{
	struct analysis a;
	struct store *s;
	json_t *json = NULL;
	int r = check_places(req, err);

	if (!r)
		r = store_open(req->capture, &s, err);
	if (r < 0)
		return r;
	r = analysis_run(s, &a, err);
	store_close(s);
	if (r < 0)
		return r;
	if (req->wanted[FORM_JSON] || req->wanted[FORM_HTML]) {
		json = report_json(&a);
		if (!json)
			r = lsc_err_set(err, -ENOMEM, "out of memory");
	}
	for (int f = 0; !r && f < FORM_COUNT; f++)
		if (req->wanted[f])
			r = put_form(req, &a, json, (enum form)f, err);
	json_decref(json);
	analysis_done(&a);
	return r;
}

int cmd_report(int argc, char **argv)
{
	static const struct argp argp = {options, parse, "FILE.lsc", doc, NULL, NULL, NULL};
	struct request req = {.color = live_color(NULL, stdout)};
	struct lsc_err err = {0};

	if (command_parse(&argp, argc, argv, 0, &req) != 0)
		return EXIT_USAGE;
	if (!report(&req, &err))
		return 0;
	command_complain("report", err.text);
	return EXIT_USAGE;
}
