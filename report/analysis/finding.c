/* SPDX-License-Identifier: MIT */
/*
 * Groups occurrences into findings by (rule, site, syscall), and writes their sentences. The
 * fingerprint is the group's key: it holds no line, address, duration or id, so that it stays the
 * same from run to run and from build to build.
 */
#include "analysis/rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM	 1
#define uthash_nonfatal_oom(elt) ((elt)->lost = 1)
#include <uthash.h>

#include "analysis/internal.h"
#include "base/duration.h"

#define PLACES_MAX                                                                                 \
	1000 /* among more findings none is looked for: a hostile capture may have many */

struct finding_slot {
	UT_hash_handle hh;
	int lost;
	size_t index;
	char key[17];
};

/* FNV-1a, 64 bits; the NUL between two texts counts, so that "ab","c" is not "a","bc". */
static uint64_t hash_text(uint64_t h, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3ull;
	return (h ^ 0) * 0x100000001b3ull;
}

/* Without what compilers add: foo.constprop.0, foo.cold, foo.isra.3 are foo; foo@@V1 too. */
static uint64_t hash_function(uint64_t h, const char *f)
{
	static const char *const marks[] = {".constprop.", ".isra.",	 ".part.",
					    ".cold",	   ".lto_priv.", "@"};
	size_t n = strlen(f);

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *at = strstr(f, marks[i]);

		if (at && at != f && (size_t)(at - f) < n)
			n = (size_t)(at - f);
	}
	return hash_text(h, f, n);
}

/* A module without its version: libfoo.so.1.2 is libfoo. */
static uint64_t hash_module(uint64_t h, const char *path)
{
	const char *base = basename(path), *so = strstr(base, ".so");

	return hash_text(h, base, so ? (size_t)(so - base) : strlen(base));
}

/* Task names carry numbers (Task-17): they do not count. */
static uint64_t hash_name(uint64_t h, const char *name)
{
	for (; *name; name++)
		if (!isdigit((unsigned char)*name))
			h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return hash_text(h, "", 0);
}

static void fingerprint(const struct analysis *a, const struct rule *rule,
			const struct occurrence *o, char ret[static 17])
{
	const struct analysis_task *t = analysis_task_of(a, o->task);
	const struct site *s = &o->site;
	uint64_t h = hash_text(0xcbf29ce484222325ull, rule->id, strlen(rule->id));

	if (s->function) {
		if (site_has_name(s))
			h = hash_function(h, s->function);
		if (s->file)
			h = hash_text(h, basename(s->file), strlen(basename(s->file)));
		else if (s->module)
			h = hash_module(h, s->module);
	} else if (t && t->row.spawn_site.function) {
		h = hash_function(h, t->row.spawn_site.function);
	} else if (t && t->row.name) {
		h = hash_name(h, t->row.name);
	}
	if (o->syscall)
		h = hash_text(h, o->syscall, strlen(o->syscall));
	snprintf(ret, 17, "%016llx", (unsigned long long)h);
}

int id_list_add(struct id_list *l, int64_t id)
{
	if (!id || (l->n && l->ids[l->n - 1] == id))
		return 0;
	int64_t *at = rows_push(&l->ids, &l->n, sizeof(*at));
	if (!at)
		return -ENOMEM;
	*at = id;
	return 0;
}

static int by_value(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a > b) - (a < b);
}

static void make_unique(struct id_list *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->ids, l->n, sizeof(*l->ids), by_value);
	for (size_t i = 0; i < l->n; i++)
		if (!n || l->ids[n - 1] != l->ids[i])
			l->ids[n++] = l->ids[i];
	l->n = n;
}

/* The finding of this fingerprint, made when there is none. NULL out of memory. */
static struct finding *group(struct analysis *a, const struct rule *rule,
			     const struct occurrence *o)
{
	struct finding_slot *slot;
	char key[17];

	fingerprint(a, rule, o, key);
	HASH_FIND(hh, a->slots, key, 16, slot);
	if (slot)
		return &a->findings[slot->index];
	slot = arena_alloc(&a->arena, 1, sizeof(*slot));
	struct finding *f = rows_push(&a->findings, &a->nfindings, sizeof(*f));
	if (!f)
		return NULL;
	*f = (struct finding){.rule = rule};
	memcpy(f->fingerprint, key, sizeof(key));
	if (!slot)
		return NULL;
	slot->index = a->nfindings - 1;
	memcpy(slot->key, key, sizeof(key));
	HASH_ADD(hh, a->slots, key, 16, slot);
	return slot->lost ? NULL : f;
}

static void add_evidence(struct finding *f, const struct evidence *e)
{
	size_t at = f->nevidence;

	while (at > 0 && f->evidence[at - 1].ns < e->ns)
		at--;
	if (at == ANALYSIS_EVIDENCE_MAX)
		return;
	if (f->nevidence < ANALYSIS_EVIDENCE_MAX)
		f->nevidence++;
	memmove(&f->evidence[at + 1], &f->evidence[at], (f->nevidence - at - 1) * sizeof(*e));
	f->evidence[at] = *e;
}

static const char *subject(struct analysis *a, const struct rule *rule, const struct occurrence *o)
{
	/* of many short steps no task is the one that did it */
	struct analysis_task *t = rule->explains ? NULL : analysis_task_of(a, o->task);
	const struct store_loop *l = analysis_loop_of(a, o->loop);

	if (o->site.function)
		return o->site.function;
	if (t && t->row.name)
		return arena_printf(&a->arena, "%s %s", store_task_kind_name(t->row.kind),
				    t->row.name);
	if (l && l->comm)
		return arena_printf(&a->arena, "loop %s", l->comm);
	return "a loop";
}

static bool holds_id(const struct id_list *l, int64_t id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ids[i] == id)
			return true;
	return false;
}

bool finding_is_placeless(const struct occurrence *o)
{
	return !o->site.function;
}

static bool may_be_of(const struct finding *f, const struct rule *rule, const struct occurrence *o)
{
	return f->rule == rule && f->site.function &&
	       !strcmp(f->syscall ? f->syscall : "", o->syscall ? o->syscall : "") &&
	       !strcmp(f->detail ? f->detail : "", o->detail ? o->detail : "") &&
	       holds_id(&f->loops, o->loop) && (!o->task || holds_id(&f->tasks, o->task));
}

int finding_place(struct analysis *a, const struct rule *rule, struct occurrence *o)
{
	const struct finding *one = NULL;
	size_t n = 0;

	for (size_t i = 0; a->nfindings <= PLACES_MAX && i < a->nfindings; i++)
		if (may_be_of(&a->findings[i], rule, o)) {
			one = &a->findings[i];
			n++;
		}
	if (n == 1) {
		o->site = one->site;
		o->inferred = true;
		return 0;
	}
	o->detail = arena_printf(&a->arena, "%s%s(its stack is not known)",
				 o->detail ? o->detail : "", o->detail && *o->detail ? " " : "");
	return o->detail ? 0 : -ENOMEM;
}

int finding_add(struct analysis *a, const struct rule *rule, const struct occurrence *o)
{
	struct finding *f = group(a, rule, o);
	struct analysis_task *t = analysis_task_of(a, o->task);

	if (!f)
		return -ENOMEM;
	if (!f->count || o->severity > f->severity ||
	    (o->severity == f->severity && o->ns > f->worst_ns)) {
		f->severity = o->severity;
		f->inferred = o->inferred;
		f->computes = o->stall && (CPU_CAUSES & CAUSE_BIT(o->stall->cause));
		f->site = o->site;
		f->syscall = o->syscall;
		f->detail = o->detail && *o->detail ? o->detail : NULL;
		f->subject = subject(a, rule, o);
		if (!f->subject)
			return -ENOMEM;
	}
	f->count = add_sat(f->count, 1);
	f->total_ns = add_sat(f->total_ns, o->ns);
	if (o->ns > f->worst_ns)
		f->worst_ns = o->ns;
	/* a block elsewhere in a stall of this rule does not explain it */
	if (o->stall && o->stall->rule == rule && !strcmp(o->evidence.kind, "stall") &&
	    o->stall->row.duration_ns > f->longest_stall_ns)
		f->longest_stall_ns = o->stall->row.duration_ns;
	add_evidence(f, &o->evidence);
	if (t)
		t->referenced = true;
	int r = id_list_add(&f->loops, o->loop);
	if (!r && t)
		r = id_list_add(&f->tasks, o->task);
	if (!r && o->stall)
		r = id_list_add(&f->stalls, o->stall->row.id);
	return r;
}

const char *finding_detail(struct analysis *a, const struct analysis_stall *s,
			   const struct store_block *b)
{
	const struct analysis_stack *holder = analysis_stack_of(a, analysis_holder_stack(a, s, b));
	const char *where = holder ? holder->site.function : NULL;

	if (b->owner_tid)
		return arena_printf(&a->arena, "held by thread %d%s%s%s%s", b->owner_tid,
				    b->owner_comm ? " " : "", b->owner_comm ? b->owner_comm : "",
				    where ? " in " : "", where ? where : "");
	if (b->path && !b->resource_pid) /* the name of a pipe says less than its other end */
		return arena_printf(&a->arena, "on %s", b->path);
	if (b->peer)
		return arena_printf(&a->arena, "with %s%s%s", b->peer, b->proto ? " " : "",
				    b->proto ? b->proto : "");
	if (b->resource_pid)
		return arena_printf(&a->arena, "for process %d%s%s", b->resource_pid,
				    b->resource_comm ? " " : "",
				    b->resource_comm ? b->resource_comm : "");
	return "";
}

/* That of other findings of the loop: a stack that is cut, and a lost one, show none. */
static enum family framework_beside(const struct analysis *a, const struct finding *f)
{
	for (size_t i = 0; f->loops.n && a->nfindings <= PLACES_MAX && i < a->nfindings; i++) {
		const struct finding *other = &a->findings[i];
		if (other->site.framework != FAMILY_C && holds_id(&other->loops, f->loops.ids[0]))
			return other->site.framework;
	}
	return FAMILY_C;
}

static enum family family_of(const struct analysis *a, const struct finding *f)
{
	static const struct {
		const char *runtime;
		enum family family;
	} names[] = {{"asyncio", FAMILY_ASYNCIO}, {"uvloop", FAMILY_ASYNCIO},
		     {"python", FAMILY_ASYNCIO},  {"node", FAMILY_NODE},
		     {"libuv", FAMILY_LIBUV},	  {"loopscope", FAMILY_LOOPSCOPE}};
	const struct store_loop *l = f->loops.n ? analysis_loop_of(a, f->loops.ids[0]) : NULL;
	const struct store_target *t = l ? analysis_target_of(a, l->target) : NULL;
	const char *runtimes[] = {l ? l->runtime : NULL, t ? t->runtime : NULL};

	if (f->site.framework != FAMILY_C)
		return f->site.framework;
	enum family beside = framework_beside(a, f);
	if (beside != FAMILY_C)
		return beside;
	/* a whole stack without any: the program turns a loop of its own */
	if (f->site.function && f->site.lang == STORE_LANG_PYTHON)
		return f->site.from_module && !f->tasks.n ? FAMILY_C : FAMILY_ASYNCIO;
	if (f->site.function && f->site.lang == STORE_LANG_JS)
		return FAMILY_NODE;
	for (size_t r = 0; r < 2; r++)
		for (size_t i = 0; runtimes[r] && i < sizeof(names) / sizeof(names[0]); i++)
			if (strcasestr(runtimes[r], names[i].runtime))
				return names[i].family;
	return FAMILY_C;
}

/* What to do about it, in the terms of the loop. */
static const char *fix_of(struct analysis *a, const struct finding *f)
{
	static const char *const instead[FAMILY_COUNT] = {
		[FAMILY_C] = "call it in a thread, or use its non-blocking calls.",
		[FAMILY_ASYNCIO] = "run it in `await asyncio.to_thread(...)`, or use an async one.",
		[FAMILY_TWISTED] =
			"run it in `threads.deferToThread(...)`, or use one for Twisted.",
		[FAMILY_TRIO] =
			"run it in `await trio.to_thread.run_sync(...)`, or use one for trio.",
		[FAMILY_GEVENT] =
			"call it in `gevent.get_hub().threadpool.apply(...)`, or patch it.",
		[FAMILY_NODE] =
			"use its asynchronous calls, or call it in a `worker_threads` worker.",
		[FAMILY_LIBUV] = "call it in `uv_queue_work()`, or use its non-blocking calls.",
		[FAMILY_LOOPSCOPE] = "call it in `lsc_to_thread()`.",
	};
	enum family family = family_of(a, f);
	const struct rule *rule = f->rule;

	if (rule->causes == UINT32_MAX && f->computes)
		rule = rule_of("cpu-hog"); /* too short for that, but of the same kind */
	if (!rule->own || !f->site.library)
		return rule->fix[family] ? rule->fix[family] : rule->fix[FAMILY_C];
	const char *name = site_library_name(&a->arena, f->site.library);
	return name ? arena_printf(&a->arena, "It is %s that waits: %s", name, instead[family])
		    : NULL;
}

/* "debugCommand slept on the loop for up to 300.2 ms in clock_nanosleep, 3 times, 900.6 ms in all"
 */
static const char *sentence(struct analysis *a, const struct finding *f)
{
	char worst[32], total[32], times[96] = "";

	lsc_duration_format(f->worst_ns, worst, sizeof(worst));
	lsc_duration_format(f->total_ns, total, sizeof(total));
	if (f->count > 1)
		snprintf(times, sizeof(times), ", %llu times, %s in all",
			 (unsigned long long)f->count, total);
	/* Where nothing but the call's own wrapper is known, it is the subject. */
	const char *call = f->syscall && strcmp(f->syscall, f->subject) != 0 ? f->syscall : NULL;
	return arena_printf(&a->arena, "%s %s for %s%s%s%s%s%s%s", f->subject, f->rule->did,
			    f->count > 1 ? "up to " : "", worst, call ? " in " : "",
			    call ? call : "", f->detail ? " " : "", f->detail ? f->detail : "",
			    times);
}

static int worst_first(const void *x, const void *y)
{
	const struct finding *a = x, *b = y;

	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	if (!a->rule->causes != !b->rule->causes) /* what held the loop, then who waited */
		return a->rule->causes ? -1 : 1;
	if (a->worst_ns != b->worst_ns)
		return a->worst_ns > b->worst_ns ? -1 : 1;
	return strcmp(a->fingerprint, b->fingerprint);
}

void finding_ungroup(struct analysis *a)
{
	HASH_CLEAR(hh, a->slots);
}

int finding_finish_all(struct analysis *a)
{
	finding_ungroup(a);
	for (size_t i = 0; i < a->nfindings; i++) {
		struct finding *f = &a->findings[i];

		make_unique(&f->loops);
		make_unique(&f->tasks);
		f->fix = fix_of(a, f);
		if (!f->message)
			f->message = sentence(a, f);
		if (!f->message || !f->fix)
			return -ENOMEM;
	}
	if (a->nfindings)
		qsort(a->findings, a->nfindings, sizeof(*a->findings), worst_first);
	return 0;
}
