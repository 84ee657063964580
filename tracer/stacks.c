/* SPDX-License-Identifier: MIT */
/* Stacks by their frames: equal ones are one, stored once. */
#include "evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hash_bytes(uint64_t h[2], const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++) { /* FNV-1a, and a second one with another offset */
		h[0] = (h[0] ^ p[i]) * 0x100000001b3ull;
		h[1] = (h[1] ^ p[i]) * 0x10000000233ull;
	}
}

static void hash_text(uint64_t h[2], const char *s)
{
	hash_bytes(h, s ? s : "\1", s ? strlen(s) + 1 : 1);
}

static bool is_script(const struct store_frame *f)
{
	return f->lang == STORE_LANG_PYTHON || f->lang == STORE_LANG_JS;
}

/* JavaScript of node itself; V8's own functions have no file. */
static bool is_nodes(const struct store_frame *f)
{
	return f->lang == STORE_LANG_JS && f->file && !strncmp(f->file, "node:", 5);
}

static void frame_name(const struct store_frame *f, char *buf, size_t size)
{
	const char *base = f->module ? strrchr(f->module, '/') : NULL;
	const char *file = f->file && !is_nodes(f) ? strrchr(f->file, '/') : NULL;

	if (f->function && is_script(f) && f->file)
		snprintf(buf, size, "%s (%s:%d)", f->function, file ? file + 1 : f->file, f->line);
	else if (f->function || is_script(f))
		snprintf(buf, size, "%s", f->function ? f->function : "(unknown)");
	else
		snprintf(buf, size, "%s%s0x%llx",
			 base	     ? base + 1
			 : f->module ? f->module
				     : "",
			 f->module ? "+" : "", (unsigned long long)f->offset);
}

/* The C library's own frames around a system call say nothing that the call's name does not. */
static bool is_wrapper(const struct store_frame *f)
{
	const char *base = f->module ? strrchr(f->module, '/') : NULL;

	base = base ? base + 1 : f->module ? f->module : "";
	return !strncmp(base, "libc.so", 7) || !strncmp(base, "libc-", 5) ||
	       !strncmp(base, "libpthread", 10) || !strncmp(base, "ld-", 3) ||
	       !strcmp(base, "[vdso]");
}

static bool has_script(const struct store_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_script(&frames[i]))
			return true;
	return false;
}

/* Of n names those from there on. Returns how many stay. */
static size_t drop_names(const char *names[], size_t n, size_t from)
{
	while (n > from)
		free((char *)names[--n]);
	return n;
}

static void stack_free(struct known_stack *k)
{
	drop_names(k->frame, k->nframes, 0);
	free(k);
}

/* The leaf frames, for live lines: without those that say nothing that others do not say better.
 * Of node's own functions that call each other the one that the application called stays. */
static size_t name_leaves(const char *names[LIVE_FRAMES], const struct store_frame *frames,
			  size_t n)
{
	bool script = has_script(frames, n); /* which says all that the interpreter's would */
	bool nodes = false; /* the last frames are node's, and V8's that it calls */
	size_t first = 0, nodes_at = 0, count = 0;
	char name[256];

	while (first < n && is_wrapper(&frames[first]))
		first++;
	for (size_t i = first < n ? first : 0; i < n && count < LIVE_FRAMES; i++) {
		const struct store_frame *f = &frames[i];
		if (script && !is_script(f))
			continue;
		if (is_nodes(f) && nodes)
			count = drop_names(names, count, nodes_at);
		else if (is_nodes(f))
			nodes_at = count;
		nodes = is_nodes(f) || (nodes && f->lang == STORE_LANG_JS && !f->file);
		frame_name(f, name, sizeof(name));
		char *copy = strdup(name);
		if (copy)
			names[count++] = copy;
	}
	return count;
}

int64_t stack_intern(struct collector *c, const struct store_frame *frames, size_t nframes,
		     bool truncated)
{
	uint64_t h[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
	struct known_stack *k;

	hash_bytes(h, &truncated, sizeof(truncated));
	for (size_t i = 0; i < nframes; i++) {
		const struct store_frame *f = &frames[i];
		hash_bytes(h, &f->lang, sizeof(f->lang));
		hash_text(h, f->function);
		hash_text(h, f->module);
		hash_text(h, f->file);
		hash_bytes(h, &f->offset, sizeof(f->offset));
		hash_bytes(h, &f->line, sizeof(f->line)); /* Python has no offsets */
	}
	HASH_FIND(hh, c->stacks, h, sizeof(h), k);
	if (k)
		return k->id;
	k = calloc(1, sizeof(*k));
	if (!k)
		return 0;
	k->hash[0] = h[0];
	k->hash[1] = h[1];
	HASH_ADD(hh, c->stacks, hash, sizeof(k->hash), k);
	if (!k->hh.tbl) {
		free(k);
		return 0;
	}
	k->id = ++c->next_stack;
	k->nframes = name_leaves(k->frame, frames, nframes);
	struct store_stack row = {
		.id = k->id, .truncated = truncated, .nframes = nframes, .frames = frames};
	ledger_stored(c, store_put_stack(c->store, &row));
	return k->id;
}

/* As the store has them; borrowed from r. */
static void rows_of(const struct inspector_result *r, struct store_frame frames[])
{
	for (size_t i = 0; i < r->nframes; i++) {
		const struct inspector_frame *f = &r->frames[i];
		frames[i] = (struct store_frame){.lang = f->python ? STORE_LANG_PYTHON
							 : f->js   ? STORE_LANG_JS
								   : STORE_LANG_NATIVE,
						 .function = f->function,
						 .file = f->file,
						 .module = f->module,
						 .build_id = f->build_id,
						 .line = f->line,
						 .offset = f->offset,
						 .inlined = f->inlined};
	}
}

int64_t stack_intern_result(struct collector *c, const struct inspector_result *r)
{
	struct store_frame frames[INSPECTOR_FRAMES_MAX];

	rows_of(r, frames);
	return r->nframes ? stack_intern(c, frames, r->nframes, r->truncated || r->why) : 0;
}

size_t stack_names(const struct inspector_result *r, const char *ret[LIVE_FRAMES])
{
	struct store_frame frames[INSPECTOR_FRAMES_MAX];

	rows_of(r, frames);
	return name_leaves(ret, frames, r->nframes);
}

void stack_rename(struct collector *c, int64_t id, const struct inspector_result *r)
{
	struct store_frame frames[INSPECTOR_FRAMES_MAX];

	rows_of(r, frames);
	struct store_stack row = {
		.id = id, .truncated = r->truncated, .nframes = r->nframes, .frames = frames};
	ledger_stored(c, store_put_stack(c->store, &row));
}

const struct known_stack *stack_of(const struct collector *c, int64_t id)
{
	for (const struct known_stack *k = c->stacks; id && k; k = k->hh.next)
		if (k->id == id)
			return k;
	return NULL;
}

void stacks_free(struct collector *c)
{
	struct known_stack *k, *next;

	HASH_ITER(hh, c->stacks, k, next)
	{
		HASH_DEL(c->stacks, k);
		stack_free(k);
	}
}
