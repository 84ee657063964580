/* SPDX-License-Identifier: MIT */
/* Values, stalls with all that belongs to them, and stacks, as JSON. */
#include "analysis/json_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/internal.h"
#include "base/cleanup.h"
#include "base/text.h"

json_t *json_text(const char *text)
{
	if (!text)
		return json_null();
	char *clean = lsc_text_utf8(text);
	if (!clean)
		return NULL;
	json_t *j = json_string(clean);
	free(clean);
	return j;
}

json_t *json_count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *json_known(uint64_t n)
{
	return n == ANALYSIS_UNKNOWN ? json_null() : json_count(n);
}

json_t *json_id(int64_t id)
{
	return id ? json_integer(id) : json_null();
}

json_t *json_when(const struct analysis *a, uint64_t ns)
{
	if (!ns || ns == ANALYSIS_UNKNOWN || a->start_ns == ANALYSIS_UNKNOWN)
		return json_null();
	/* a black-box ring holds moments before the start: those are negative */
	if (ns < a->start_ns)
		return json_integer(-(json_int_t)(a->start_ns - ns));
	return json_count(ns - a->start_ns);
}

json_t *json_site(const char *function, const char *file, int line)
{
	if (!function && !file)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "function", json_text(function), "file",
			 json_text(file), "line", line > 0 ? json_integer(line) : json_null());
}

int json_put(json_t *array, json_t *value)
{
	return value && !json_array_append_new(array, value) ? 0 : -ENOMEM;
}

static json_t *split(const struct store_stall *s)
{
	json_t *list = json_array();

	for (int c = 0; list && c < LSC_CAUSE_COUNT; c++)
		if (s->split[c] &&
		    json_put(list, json_pack("{s:s, s:o}", "cause", lsc_cause_name(c), "ns",
					     json_count(s->split[c]))) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* The stored arguments are JSON of the file's own: of an object its plain values are taken,
 * anything else counts as no arguments (Jansson does not always tell damage from lack of memory).
 */
static json_t *arguments(const char *text)
{
	json_t *args = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *plain = json_object(), *value;
	const char *key;
	bool lost = !plain;

	json_object_foreach(args, key, value)
		if (!lost && !json_is_object(value) && !json_is_array(value))
			lost = json_object_set(plain, key, value) < 0;
	json_decref(args);
	if (lost) {
		json_decref(plain);
		return NULL;
	}
	return plain;
}

static json_t *resource(const struct store_block *b)
{
	if (!b->resource_kind)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", json_text(b->resource_kind),
			 "path", json_text(b->path), "peer", json_text(b->peer), "proto",
			 json_text(b->proto), "pid", json_id(b->resource_pid), "comm",
			 json_text(b->resource_comm), "requested_ns",
			 json_known(b->requested_ns ? b->requested_ns : ANALYSIS_UNKNOWN));
}

static json_t *owner(const struct store_block *b, int64_t stack)
{
	if (!b->owner_tid)
		return json_null();
	return json_pack("{s:i, s:o, s:o}", "tid", b->owner_tid, "comm", json_text(b->owner_comm),
			 "stack", json_id(stack));
}

/* A timer has none: what the kernel names there is whoever its interrupt came upon. */
static json_t *waker(const struct store_block *b)
{
	if (!b->waker_pid || (b->resource_kind && !strcmp(b->resource_kind, "timer")))
		return json_null();
	return json_pack("{s:i, s:o}", "pid", b->waker_pid, "comm", json_text(b->waker_comm));
}

/* holder_stack: of who held what it waited for. */
static json_t *block(const struct analysis *a, const struct store_block *b, int64_t holder_stack)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "id", json_id(b->id), "start_ns", json_when(a, b->start_ns), "duration_ns",
			 json_count(b->duration_ns), "count", json_count(b->count), "syscall",
			 json_text(b->syscall), "args", arguments(b->args_json), "cause",
			 lsc_cause_name(b->cause), "confidence",
			 b->inferred ? "inferred" : "observed", "resource", resource(b), "owner",
			 owner(b, holder_stack), "waker", waker(b), "task", json_id(b->task),
			 "stack", json_id(b->stack), "kernel_stack", json_id(b->kernel_stack));
}

static json_t *task_brief(const struct analysis *a, int64_t id)
{
	const struct analysis_task *t = analysis_task_of(a, id);

	if (!t)
		return json_null();
	return json_pack("{s:o, s:o, s:s, s:o}", "id", json_id(id), "name", json_text(t->row.name),
			 "kind", store_task_kind_name(t->row.kind), "spawn_site",
			 json_site(t->row.spawn_site.function, t->row.spawn_site.file,
				   t->row.spawn_site.line));
}

static json_t *victim(const struct analysis *a, const struct victim *v)
{
	static const char *const kinds[] = {"task", "socket", "timer"};
	const struct store_wait *w = &a->waits[v->wait];
	const struct analysis_task *t = analysis_task_of(a, w->task);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", kinds[w->kind], "task",
			 json_id(w->task), "fd",
			 w->kind == STORE_WAIT_SOCKET && w->fd >= 0 ? json_integer(w->fd)
								    : json_null(),
			 "peer", json_text(w->peer), "name",
			 json_text(w->name ? w->name
				   : t	   ? t->row.name
					   : NULL),
			 "ready_ns", json_when(a, w->ready_ns), "wait_ns", json_count(v->ns));
}

static json_t *victims(const struct analysis *a, const struct analysis_stall *s)
{
	size_t n = s->nvictims < ANALYSIS_VICTIMS_MAX ? s->nvictims : ANALYSIS_VICTIMS_MAX;
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_put(list, victim(a, &a->victims[s->first_victim + i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "count", json_count(s->nvictims),
			 "sum_wait_ns", json_count(s->victim_sum_ns), "max_wait_ns",
			 json_count(s->victim_max_ns), "list", list, "omitted",
			 json_count(s->nvictims - n));
}

json_t *json_mark(const struct analysis *a, const struct store_mark *m, bool with_loop)
{
	json_t *j = json_pack("{s:o, s:o, s:o}", "ts_ns", json_when(a, m->ts_ns), "task",
			      json_id(m->task), "text", json_text(m->text));

	if (j && with_loop && json_object_set_new(j, "loop", json_id(m->loop)) < 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *marks(const struct analysis *a, const struct analysis_stall *s)
{
	size_t n = s->nmarks < ANALYSIS_MARKS_MAX ? s->nmarks : ANALYSIS_MARKS_MAX;
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_put(list, json_mark(a, &a->marks[s->first_mark + i], false)) < 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o, s:o, s:o}", "count", json_count(s->nmarks), "list", list, "omitted",
			 json_count(s->nmarks - n));
}

static json_t *inner_rows(const struct analysis *a, const struct analysis_stall *s,
			  json_t *culprits, json_t *blocks, json_t *samples)
{
	const struct analysis_block *first = a->blocks + s->first_block, *longest = first;
	int r = culprits && blocks && samples ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < s->nculprits; i++) {
		const struct store_culprit *c = &a->culprits[s->first_culprit + i];

		r = json_put(culprits, json_pack("{s:o, s:o}", "task", json_id(c->task), "ns",
						 json_count(c->ns)));
	}
	for (size_t i = 0; i < s->nblocks; i++)
		if (first[i].row.duration_ns > longest->row.duration_ns)
			longest = &first[i];
	for (size_t i = 0; !r && i < s->nblocks; i++)
		r = json_put(blocks,
			     block(a, &first[i].row,
				   &first[i] == longest ? analysis_holder_stack(a, s, &longest->row)
							: first[i].row.owner_stack));
	for (size_t i = 0; !r && i < s->nsamples; i++) {
		const struct store_sample *p = &a->samples[s->first_sample + i].row;

		r = json_put(samples, json_pack("{s:o, s:o}", "stack", json_id(p->stack), "ns",
						json_count(p->ns)));
	}
	if (r < 0) {
		json_decref(culprits);
		json_decref(blocks);
		json_decref(samples);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o}", "culprits", culprits, "blocks", blocks, "samples",
			 samples);
}

json_t *json_stall(const struct analysis *a, const struct analysis_stall *s)
{
	static const char *const modes[] = {"default", "precise", "fentry", "ring"};
	const struct store_stall *row = &s->row;
	json_t *rows = inner_rows(a, s, json_array(), json_array(), json_array());
	json_t *j = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, "
		"s:o}",
		"id", json_id(row->id), "loop", json_id(row->loop), "start_ns",
		json_when(a, row->start_ns), "duration_ns", json_count(row->duration_ns),
		"duration_min_ns", json_count(row->duration_min_ns), "duration_max_ns",
		json_count(row->duration_max_ns), "mode", modes[row->mode], "in_progress",
		row->in_progress, "severity", severity_name(s->severity), "cause",
		lsc_cause_name(s->cause), "split", split(row), "confidence",
		row->inferred ? "inferred" : "observed", "site",
		json_site(s->site.function, s->site.file, s->site.line), "task",
		task_brief(a, row->task), "stack", json_id(row->stack), "victims", victims(a, s),
		"marks", marks(a, s));

	if (!j || !rows || json_object_update_new(j, LSC_TAKE(rows))) {
		json_decref(rows);
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *frame(const struct store_frame *f)
{
	static const char *const langs[] = {"native", "python", "js", "kernel"};

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "lang", langs[f->lang],
			 "function", json_text(f->function), "file", json_text(f->file), "line",
			 f->line > 0 ? json_integer(f->line) : json_null(), "module",
			 json_text(f->module), "offset", json_count(f->offset), "build_id",
			 json_text(f->build_id), "inlined", f->inlined);
}

json_t *json_stack(const struct analysis_stack *k)
{
	json_t *frames = json_array();

	for (size_t i = 0; frames && i < k->row.nframes; i++)
		if (json_put(frames, frame(&k->row.frames[i])) < 0) {
			json_decref(frames);
			return NULL;
		}
	return json_pack("{s:o, s:b, s:o}", "id", json_id(k->row.id), "truncated", k->row.truncated,
			 "frames", frames);
}
