/* SPDX-License-Identifier: MIT */
/* A handle with a descriptor stands for what the epoll set watches: that is told once. */
#include "ps_loop.h"

#include <stdio.h>

#include "base/duration.h"
#include "field.h"

#define END_MAX 50

static void print_ends(const struct page *p, const json_t *o)
{
	const char *local = field_text(o, "local"), *peer = field_text(o, "peer"),
		   *state = field_text(o, "state");

	if (local) {
		fputs("  ", p->out);
		page_text(p, local, END_MAX);
	}
	if (peer) {
		fputs(" <-> ", p->out);
		page_text(p, peer, END_MAX);
	}
	if (state) {
		fputs("  ", p->out);
		page_text(p, state, 20);
	}
}

static void print_time(const struct page *p, const json_t *o, const char *key, const char *before)
{
	int64_t ns = field_int(o, key, -1);
	char buf[32];

	if (ns >= 0)
		fprintf(p->out, "%s%s", before,
			lsc_duration_format((uint64_t)ns, buf, sizeof(buf)));
}

static void print_handle(const struct page *p, const json_t *h)
{
	int64_t fd = field_int(h, "fd", -1), number = field_int(h, "number", -1);
	const char *callback = field_text(h, "callback");

	fputs("    ", p->out);
	page_text(p, field_text(h, "kind"), 10);
	if (fd >= 0)
		fprintf(p->out, " fd %lld", (long long)fd);
	if (number >= 0)
		fprintf(p->out, " %lld", (long long)number);
	print_time(p, h, "due_ns", "  in ");
	print_time(p, h, "repeat_ns", ", then every ");
	print_ends(p, h);
	if (callback) {
		fputs("  calls ", p->out);
		page_text(p, callback, 80);
	}
	if (!json_is_true(json_object_get(h, "active")))
		fputs("  (inactive)", p->out);
	if (!json_is_true(json_object_get(h, "referenced")))
		fputs("  (unreferenced)", p->out);
	if (json_is_true(json_object_get(h, "closing")))
		fputs("  (closing)", p->out);
	fputc('\n', p->out);
}

static bool has_handle(const json_t *handles, int64_t fd)
{
	const json_t *h;
	size_t i;

	json_array_foreach(handles, i, h)
		if (field_int(h, "fd", -1) == fd)
			return true;
	return false;
}

static void print_watched(const struct page *p, const json_t *w)
{
	fprintf(p->out, "    fd %-4lld ", (long long)field_int(w, "fd", 0));
	page_text(p, field_text(w, "kind"), 8);
	fputc(' ', p->out);
	page_text(p, field_text(w, "events"), 7);
	print_ends(p, w);
	print_time(p, w, "expires_ns", "  in ");
	fputc('\n', p->out);
}

static void print_omitted(const struct page *p, const json_t *loop, const char *key)
{
	uint64_t omitted = field_u64(loop, key);

	if (omitted)
		fprintf(p->out, "    %llu more: left out\n", (unsigned long long)omitted);
}

void ps_loop_print(const struct page *p, const json_t *loop)
{
	const json_t *handles = json_object_get(loop, "handles"), *o,
		     *watched = json_object_get(loop, "watched");
	size_t i;

	json_array_foreach(handles, i, o)
		print_handle(p, o);
	print_omitted(p, loop, "handles_omitted");
	json_array_foreach(watched, i, o)
		if (!has_handle(handles, field_int(o, "fd", 0)))
			print_watched(p, o);
	print_omitted(p, loop, "watched_omitted");
	if (json_is_array(watched) && !handles && field_int(loop, "tasks", -1) < 0)
		fputs("    timers: unknown\n", p->out);
}
