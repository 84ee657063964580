/* SPDX-License-Identifier: MIT */
/* Rendering of live messages. Every string in them may come from the watched program. */
#include "live.h"

#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"
#include "field.h"

#define FRAMES_SHOWN 4
#define ARGS_SHOWN   4
#define PIDS_SHOWN   16
#define INDENT	     "              " /* the width of the time and its gap */

#define DIM    "\033[2m"
#define BOLD   "\033[1m"
#define RED    "\033[1;31m"
#define YELLOW "\033[33m"
#define RESET  "\033[0m"

int live_color(const char *when, FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when && !strcmp(when, "always"))
		return 1;
	if (when && !strcmp(when, "never"))
		return 0;
	if (when && strcmp(when, "auto"))
		return -1;
	return isatty(fileno(out)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

void live_text(const char *text, FILE *out)
{
	const char *end = text + strlen(text);

	while (text < end) {
		uint32_t point;
		size_t n = lsc_text_next(text, (size_t)(end - text), &point);

		if (lsc_text_harms(point) || point == LSC_TEXT_REPLACEMENT)
			fputc('?', out);
		else
			fwrite(text, 1, n, out);
		text += n;
	}
}

static void text_or(const char *text, const char *fallback, FILE *out)
{
	live_text(text ? text : fallback, out);
}

static void color(const struct live_options *o, const char *code, FILE *out)
{
	if (o->color)
		fputs(code, out);
}

/* HH:MM:SS.mmm, local time. */
static void time_of_day(const json_t *msg, FILE *out)
{
	uint64_t wall_ns = field_u64(msg, "start_wall_ns");
	time_t s = (time_t)(wall_ns / LSC_NS_PER_S);
	struct tm tm;
	char buf[16] = "--:--:--";

	if (wall_ns && localtime_r(&s, &tm))
		strftime(buf, sizeof(buf), "%H:%M:%S", &tm);
	fprintf(out, "%s.%03u", buf, (unsigned)(wall_ns / LSC_NS_PER_MS % 1000));
}

/* A duration argument stands for itself, a text too, a number carries its name: fd 5. */
static void call(const json_t *msg, FILE *out)
{
	const char *syscall = field_text(msg, "syscall"), *key;
	json_t *args = json_object_get(msg, "args"), *v;
	unsigned shown = 0;
	char b[32];

	if (!syscall)
		return;
	live_text(syscall, out);
	fputc('(', out);
	json_object_foreach(args, key, v) {
		size_t len = strlen(key);
		bool ns = len > 3 && !strcmp(key + len - 3, "_ns");

		if (!json_is_integer(v) && !json_is_string(v))
			continue;
		if (shown == ARGS_SHOWN)
			break;
		if (shown++)
			fputs(", ", out);
		if (json_is_string(v)) {
			live_text(json_string_value(v), out);
		} else if (ns && json_integer_value(v) >= 0) {
			fputs(lsc_duration_format((uint64_t)json_integer_value(v), b, sizeof(b)),
			      out);
		} else {
			live_text(key, out);
			fprintf(out, " %lld", (long long)json_integer_value(v));
		}
	}
	fputc(')', out);
}

static void chain(const json_t *frames, FILE *out)
{
	for (size_t i = 0; i < json_array_size(frames) && i < FRAMES_SHOWN; i++) {
		fputs(i ? " <- " : "", out);
		text_or(json_string_value(json_array_get(frames, i)), "?", out);
	}
}

/* " in task 'NAME' (function file:line): leaf <- caller <- ..." as far as it is known. */
static void where(const json_t *msg, FILE *out)
{
	const json_t *task = json_object_get(msg, "task"), *frames = json_object_get(msg, "frames");
	size_t n = json_array_size(frames);

	if (!json_is_object(task) && !n)
		return;
	fputs("  in ", out);
	if (json_is_object(task)) {
		const char *function = field_text(task, "function"),
			   *file = field_text(task, "file");
		int64_t line = field_int(task, "line", 0);

		const char *kind = field_text(task, "kind");
		bool callback = kind && !strcmp(kind, "callback");

		fputs(callback ? "callback '" : "task '", out);
		text_or(field_text(task, "name"), "?", out);
		fputc('\'', out);
		if (!callback && (function || file)) {
			fputs(" (", out);
			text_or(function, "", out);
			if (file) {
				fputs(function ? " " : "", out);
				live_text(file, out);
				if (line > 0)
					fprintf(out, ":%lld", (long long)line);
			}
			fputc(')', out);
		}
		fputs(n ? ": " : "", out);
	}
	chain(frames, out);
}

/* Who held what the loop waited for. */
static void owner(const json_t *o, FILE *out)
{
	const json_t *frames = json_object_get(o, "frames");

	if (!json_is_object(o))
		return;
	fprintf(out, "  held by %lld ", (long long)field_int(o, "tid", 0));
	text_or(field_text(o, "comm"), "?", out);
	fputs(json_array_size(frames) ? ": " : "", out);
	chain(frames, out);
}

static void victims(const struct live_options *o, const json_t *v, FILE *out)
{
	static const char *const kinds[] = {"tasks", "sockets", "timers"};
	uint64_t count = field_u64(v, "count");
	const char *worst = field_text(v, "worst");
	char sum[32], max[32];
	bool named = false;

	if (!count)
		return;
	lsc_duration_format(field_u64(v, "sum_wait_ns"), sum, sizeof(sum));
	lsc_duration_format(field_u64(v, "max_wait_ns"), max, sizeof(max));
	color(o, DIM, out);
	fputs(INDENT, out);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t n = field_u64(v, kinds[i]);
		if (!n)
			continue;
		fprintf(out, "%s%llu %.*s", named ? ", " : "", (unsigned long long)n,
			(int)strlen(kinds[i]) - (n == 1), kinds[i]);
		named = true;
	}
	if (!named)
		fprintf(out, "%llu", (unsigned long long)count);
	fprintf(out, " waited, %s in all, worst %s", sum, max);
	if (worst) {
		fputs(" (", out);
		live_text(worst, out);
		fputc(')', out);
	}
	color(o, RESET, out);
	fputc('\n', out);
}

/* The application's own mark that came last before it was held. */
static void mark(const struct live_options *o, const json_t *m, FILE *out)
{
	const char *text = field_text(m, "text");
	char into[32];

	if (!text)
		return;
	color(o, DIM, out);
	fputs(INDENT "after mark '", out);
	live_text(text, out);
	fprintf(out, "', %s into it",
		lsc_duration_format(field_u64(m, "into_ns"), into, sizeof(into)));
	color(o, RESET, out);
	fputc('\n', out);
}

static void stall(const struct live_options *o, const json_t *msg, FILE *out)
{
	uint64_t ns = field_u64(msg, "duration_ns");
	char b[32];

	time_of_day(msg, out);
	fputs("  ", out);
	color(o, ns >= 100 * LSC_NS_PER_MS ? RED : ns >= 50 * LSC_NS_PER_MS ? YELLOW : BOLD, out);
	fprintf(out, "%s %-9s",
		json_is_true(json_object_get(msg, "in_progress")) ? "HANGS" : "STALL",
		lsc_duration_format(ns, b, sizeof(b)));
	color(o, RESET, out);
	fputc(' ', out);
	const char *cause = field_text(msg, "cause");
	live_text(cause ? cause : "unknown", out);
	fprintf(out, "%*s", cause && strlen(cause) < 11 ? (int)(11 - strlen(cause)) : 1, "");
	call(msg, out);
	where(msg, out);
	owner(json_object_get(msg, "owner"), out);
	if (o->many) {
		fputs("  [", out);
		text_or(field_text(msg, "comm"), "?", out);
		fprintf(out, " %lld]", (long long)field_int(msg, "tid", 0));
	}
	fputc('\n', out);
	mark(o, json_object_get(msg, "mark"), out);
	victims(o, json_object_get(msg, "victims"), out);
}

static void loop(const json_t *msg, FILE *out)
{
	const char *runtime = field_text(msg, "runtime"), *syscall = field_text(msg, "syscall");
	long long pid = field_int(msg, "pid", 0), tid = field_int(msg, "tid", 0),
		  fd = field_int(msg, "fd", -1);

	fprintf(out, "loop %lld ", tid);
	text_or(field_text(msg, "comm"), "?", out);
	if (tid != pid)
		fprintf(out, " of process %lld", pid);
	if (syscall) {
		fputs(" (", out);
		live_text(syscall, out);
		if (fd >= 0)
			fprintf(out, ", fd %lld", fd);
		fputc(')', out);
	}
	if (runtime) {
		fputs(", ", out);
		live_text(runtime, out);
	}
	fputc('\n', out);
}

static void ready(const json_t *msg, FILE *out)
{
	const json_t *pids = json_object_get(msg, "pids");
	long long loops = (long long)field_u64(msg, "loops");

	size_t n = json_array_size(pids), shown = n > PIDS_SHOWN ? PIDS_SHOWN - 1 : n;
	fputs("attached", out);
	for (size_t i = 0; i < shown; i++)
		fprintf(out, " %lld", (long long)json_integer_value(json_array_get(pids, i)));
	if (shown < n)
		fprintf(out, " and %zu others", n - shown);
	fprintf(out, ": %lld %s\n", loops, loops == 1 ? "loop" : "loops");
	if (!loops)
		fputs("  none yet: a loop is known once it waits for what comes next (where "
		      "one hangs, and in which tasks, shows `loopscope ps PID`); those of child "
		      "processes are watched with --follow\n",
		      out);
}

/* "lost" is a number, or an object of numbers by reason. */
static uint64_t lost_of(const json_t *end)
{
	json_t *lost = json_object_get(end, "lost"), *v;
	const char *key;
	uint64_t sum = field_u64(end, "lost");

	json_object_foreach(lost, key, v)
		sum += field_u64(lost, key);
	return sum;
}

void live_summary(const struct live_options *o, const json_t *end, const char *path, FILE *out)
{
	uint64_t stalls = field_u64(end, "stalls");
	double coverage = field_real(end, "coverage", -1);

	fputs("wrote ", out);
	live_text(path, out);
	fprintf(out, " (%llu stall%s, %llu lost) - loopscope report ", (unsigned long long)stalls,
		stalls == 1 ? "" : "s", (unsigned long long)lost_of(end));
	live_text(path, out);
	fputc('\n', out);
	if (!o->verbose)
		return;
	fprintf(out, "%llu events emitted, %llu stored; ended by ",
		(unsigned long long)field_u64(end, "emitted"),
		(unsigned long long)field_u64(end, "stored"));
	text_or(field_text(end, "reason"), "unknown", out);
	if (coverage >= 0)
		fprintf(out, "; coverage %.1f %%", coverage * 100);
	fputc('\n', out);
}

/* The message with "event" for "type". ASCII, so that no byte in it moves a terminal's cursor. */
static void ndjson(const json_t *msg, const char *path, FILE *out)
{
	json_t *copy = json_object(), *v;
	const char *key, *type = field_text(msg, "type");

	if (!copy || json_object_set_new(copy, "event", json_string(type)) < 0)
		goto done;
	json_object_foreach((json_t *)msg, key, v)
		if (strcmp(key, "type") && json_object_set(copy, key, v) < 0)
			goto done;
	if (json_object_get(copy, "path") &&
	    json_object_set_new(copy, "path", json_string(path)) < 0)
		goto done;
	if (json_dumpf(copy, out, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		fputc('\n', out);
done:
	json_decref(copy);
}

void live_message(const struct live_options *o, const json_t *msg, const char *path, FILE *out)
{
	static const char *const known[] = {"loop", "ready", "stall", "end", "notice"};
	const char *type = field_text(msg, "type");
	size_t i = 0;

	while (i < sizeof(known) / sizeof(known[0]) && strcmp(type, known[i]))
		i++;
	if (i == sizeof(known) / sizeof(known[0]))
		return;
	if (o->json)
		ndjson(msg, path, out);
	else if (i == 0)
		loop(msg, out);
	else if (i == 1)
		ready(msg, out);
	else if (i == 2)
		stall(o, msg, out);
	else if (i == 3)
		live_summary(o, msg, path, out);
	fflush(out);
}
