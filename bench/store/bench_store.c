/* SPDX-License-Identifier: MIT */
/*
 * What storing costs: packing and scanning task transitions, putting them and single rows into a
 * capture. Prints "name value unit" lines. The capture goes to the directory named on the command
 * line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "chunk.h"
#include "store.h"

#define EVENTS 5000000u
#define ROWS   200000

struct packed {
	struct store *store; /* NULL: chunks are thrown away */
	struct chunk_writer writer;
	uint64_t bytes;
	int64_t chunks;
};

/* Steps of a busy loop: ready, run, suspend of changing tasks, a few microseconds each. */
static struct chunk_event nth_event(uint32_t i, uint64_t *ts)
{
	uint32_t random = i * 2654435761u >> 16;

	*ts += 200 + random % 4000;
	return (struct chunk_event){
		.ts_ns = *ts,
		.kind = CHUNK_TASK_READY + i % 3,
		.task = 1 + i / 3 % 200 + (random & 7),
		.detail = i % 3 == 2 ? 3 : 0,
		.arg = i % 3 == 2 ? 12 : 0,
	};
}

static int flush(struct packed *p)
{
	struct chunk_writer *w = &p->writer;
	struct store_chunk row = {.id = ++p->chunks,
				  .loop = 1,
				  .first_ns = w->first_ns,
				  .last_ns = w->last_ns,
				  .count = w->count,
				  .data = w->data,
				  .size = w->size};
	int r = p->store ? store_put_chunk(p->store, &row) : 0;

	if (!r && p->store && p->chunks % 100 == 0)
		r = store_commit(p->store);
	p->bytes += w->size;
	chunk_writer_reset(w);
	return r;
}

static int pack(struct packed *p)
{
	uint64_t ts = 1000000000;

	for (uint32_t i = 0; i < EVENTS; i++) {
		struct chunk_event e = nth_event(i, &ts);
		if (!chunk_writer_append(&p->writer, &e))
			continue;
		if (flush(p) || chunk_writer_append(&p->writer, &e))
			return -1;
	}
	return flush(p);
}

static void report(const char *name, uint64_t n, uint64_t ns)
{
	printf("%s %.2f M/s\n", name, (double)n * 1e3 / (double)ns);
}

static int add_ts(const struct chunk_event *e, void *arg)
{
	*(uint64_t *)arg += e->ts_ns;
	return 0;
}

static int scan_chunk(const struct store_chunk *row, void *arg)
{
	return chunk_each(row->data, row->size, add_ts, arg);
}

static int put_rows(struct store *s)
{
	for (int64_t i = 1; i <= ROWS; i++) {
		struct store_wait row = {.id = i,
					 .loop = 1,
					 .task = i % 500,
					 .fd = -1,
					 .ready_ns = (uint64_t)i * 1000,
					 .wait_ns = 6000000};
		if (store_put_wait(s, &row) || (i % 10000 == 0 && store_commit(s)))
			return -1;
	}
	return 0;
}

static int measure(const char *path)
{
	struct store_create_options o = {.owner = (uid_t)-1, .group = (gid_t)-1, .overwrite = true};
	struct packed dry = {0}, stored = {0};
	struct store *s;
	uint64_t sum = 0, t = lsc_now_ns();

	if (pack(&dry))
		return -1;
	report("chunk_pack", EVENTS, lsc_now_ns() - t);
	printf("chunk_size %.2f bytes/event\n", (double)dry.bytes / EVENTS);
	chunk_writer_done(&dry.writer);

	if (store_create(path, &o, &s, NULL))
		return -1;
	stored.store = s;
	t = lsc_now_ns();
	if (pack(&stored) || store_commit(s))
		return -1;
	report("chunk_store", EVENTS, lsc_now_ns() - t);
	chunk_writer_done(&stored.writer);
	t = lsc_now_ns();
	if (put_rows(s))
		return -1;
	report("row_store", ROWS, lsc_now_ns() - t);
	t = lsc_now_ns();
	if (store_finish(s, NULL))
		return -1;
	printf("finish %.1f ms\n", (double)(lsc_now_ns() - t) / 1e6);

	t = lsc_now_ns();
	if (store_open(path, &s, NULL))
		return -1;
	printf("open %.1f ms\n", (double)(lsc_now_ns() - t) / 1e6);
	t = lsc_now_ns();
	if (store_each_chunk(s, scan_chunk, &sum) || !sum)
		return -1;
	report("chunk_scan", EVENTS, lsc_now_ns() - t);
	store_close(s);
	return 0;
}

int main(int argc, char **argv)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/bench.lsc", argc > 1 ? argv[1] : ".");
	int r = measure(path);
	unlink(path);
	if (r)
		fprintf(stderr, "bench_store: failed in %s\n", path);
	return r ? 1 : 0;
}
