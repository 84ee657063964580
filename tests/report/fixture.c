/* SPDX-License-Identifier: MIT */
/* Captures for the tests of report/. */
#include "fixture.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/rules.h"

#define MUST(call)                                                                                 \
	do {                                                                                       \
		int must_ = (call);                                                                \
		if (must_ < 0) {                                                                   \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,              \
				strerror(-must_));                                                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

void fixture_begin(struct fixture *f, const char *path)
{
	const struct store_create_options options = {
		.overwrite = true, .owner = (uid_t)-1, .group = (gid_t)-1};
	struct store_target target = {.id = 1,
				      .pid = 4242,
				      .ns_pid = 1,
				      .comm = "redis-server",
				      .exe = "/usr/bin/redis-server",
				      .first_ns = FIXTURE_START,
				      .last_ns = FIXTURE_START + 10 * LSC_NS_PER_S};
	static struct lsc_histogram lag;

	f->offset = 0x1000;
	struct store_loop loop = {.id = 1,
				  .target = 1,
				  .tid = 4242,
				  .comm = "redis-server",
				  .source = STORE_SOURCE_BPF,
				  .wait_syscall = "epoll_wait",
				  .wait_fd = 5,
				  .first_ns = FIXTURE_START,
				  .last_ns = target.last_ns,
				  .ticks = 12345,
				  .busy_ns = MS(500),
				  .idle_ns = MS(9500),
				  .lag = &lag};

	memset(&lag, 0, sizeof(lag));
	for (int i = 0; i < 1000; i++)
		lsc_hist_add(&lag, (uint64_t)i * 1000);
	if (path)
		snprintf(f->path, sizeof(f->path), "%s", path);
	else {
		snprintf(f->path, sizeof(f->path), "/tmp/lsc-fixture-XXXXXX");
		int fd = mkstemp(f->path);

		MUST(fd);
		close(fd);
	}
	MUST(store_create(f->path, &options, &f->s, NULL));
	MUST(store_publish(f->s, NULL));
	MUST(store_meta_put(f->s, STORE_META_MODE, "attach"));
	MUST(store_meta_put(f->s, STORE_META_HOSTNAME, "testhost"));
	MUST(store_meta_put_int(f->s, STORE_META_START_NS, (int64_t)FIXTURE_START));
	MUST(store_meta_put_int(f->s, STORE_META_START_WALL_NS, 1700000000000000000));
	MUST(store_meta_put_int(f->s, STORE_META_STALL_NS, (int64_t)MS(10)));
	MUST(store_meta_put_int(f->s, STORE_META_BLOCK_NS, (int64_t)MS(1)));
	MUST(store_meta_put_int(f->s, STORE_META_READY_WAIT_NS, (int64_t)MS(5)));
	MUST(store_meta_put(f->s, STORE_META_COVERAGE, "1.000000"));
	MUST(store_meta_put_int(f->s, STORE_META_BPF, 1));
	MUST(store_put_target(f->s, &target));
	MUST(store_put_loop(f->s, &loop));
}

void fixture_end(struct fixture *f)
{
	struct lsc_err err = {0};

	MUST(store_meta_put_int(f->s, STORE_META_END_NS,
				(int64_t)(FIXTURE_START + 10 * LSC_NS_PER_S)));
	MUST(store_meta_put_int(f->s, STORE_META_END_WALL_NS, 1700000010000000000));
	MUST(store_meta_put(f->s, STORE_META_END_REASON, "user"));
	MUST(store_finish(f->s, &err));
	f->s = NULL;
}

void fixture_analyse(struct fixture *f, struct analysis *ret)
{
	if (f->s)
		fixture_end(f);
	fixture_open(f, ret);
}

void fixture_open(const struct fixture *f, struct analysis *ret)
{
	struct store *s;
	struct lsc_err err = {0};

	MUST(store_open(f->path, &s, &err));
	MUST(analysis_run(s, ret, &err));
	store_close(s);
	unlink(f->path);
}

void fixture_stack(struct fixture *f, int64_t id, const char *const *frames)
{
	static const char *const langs[] = {"native", "python", "js", "kernel"};
	struct store_frame rows[32] = {0};
	struct store_stack stack = {.id = id, .frames = rows};
	char *copies[32];

	for (; frames[stack.nframes]; stack.nframes++) {
		struct store_frame *row = &rows[stack.nframes];
		char *rest = copies[stack.nframes] = strdup(frames[stack.nframes]), *parts[5];

		for (int i = 0; i < 5; i++) {
			parts[i] = strsep(&rest, "|");
			if (parts[i] && !*parts[i])
				parts[i] = NULL;
		}
		for (int i = 0; i < 4; i++)
			if (!strcmp(parts[0], langs[i]))
				row->lang = (enum store_lang)i;
		row->function = parts[1];
		row->file = parts[2];
		row->line = parts[3] ? atoi(parts[3]) : 0;
		row->module = parts[4];
		row->offset = f->offset;
	}
	MUST(store_put_stack(f->s, &stack));
	for (size_t i = 0; i < stack.nframes; i++)
		free(copies[i]);
}

void fixture_native(struct fixture *f, int64_t id, const char *function, int line)
{
	char own[256];

	snprintf(own, sizeof(own), "native|%s|app.c|%d|/usr/bin/redis-server", function, line);
	fixture_stack(
		f, id,
		(const char *const[]){"native|clock_nanosleep|||/lib/x86_64-linux-gnu/libc.so.6",
				      own, "native|main|app.c|99|/usr/bin/redis-server", NULL});
}

void fixture_stall(struct fixture *f, int64_t id, unsigned at_ms, unsigned ms, enum lsc_cause cause,
		   const char *syscall, int64_t stack)
{
	struct store_stall row = {.id = id,
				  .loop = 1,
				  .start_ns = FIXTURE_START + MS(at_ms),
				  .duration_ns = MS(ms),
				  .duration_min_ns = MS(ms),
				  .duration_max_ns = MS(ms),
				  .stack = stack};
	struct store_block block = {.id = id,
				    .loop = 1,
				    .stall = id,
				    .start_ns = row.start_ns,
				    .duration_ns = MS(ms),
				    .count = 1,
				    .syscall = syscall,
				    .cause = cause,
				    .stack = stack};

	row.split[cause] = MS(ms);
	MUST(store_put_stall(f->s, &row));
	if (syscall)
		MUST(store_put_block(f->s, &block));
}

void fixture_task(struct fixture *f, int64_t id, const char *name)
{
	struct store_task row = {.id = id,
				 .loop = 1,
				 .name = name,
				 .state = "suspended",
				 .waiting_on = "timer",
				 .spawn_site = {"serve", "app.py", 12},
				 .created_ns = FIXTURE_START + 1};

	MUST(store_put_task(f->s, &row));
}

void fixture_callback(struct fixture *f, int64_t id, const char *name)
{
	MUST(store_put_task(
		f->s, &(struct store_task){
			      .id = id, .loop = 1, .name = name, .kind = STORE_TASK_CALLBACK}));
}

void fixture_wait(struct fixture *f, int64_t id, enum store_wait_kind kind, unsigned at_ms,
		  unsigned ms, int64_t task)
{
	struct store_wait row = {.id = id,
				 .loop = 1,
				 .kind = kind,
				 .task = task,
				 .fd = kind == STORE_WAIT_SOCKET ? 7 : -1,
				 .peer = kind == STORE_WAIT_SOCKET ? "127.0.0.1:51204" : NULL,
				 .ready_ns = FIXTURE_START + MS(at_ms),
				 .wait_ns = MS(ms)};

	MUST(store_put_wait(f->s, &row));
}

void fixture_mark(struct fixture *f, uint64_t at_ns, int64_t task, const char *text)
{
	MUST(store_put_mark(f->s, &(struct store_mark){.loop = 1,
						       .task = task,
						       .ts_ns = FIXTURE_START + at_ns,
						       .text = text}));
}

void fixture_healthy(struct fixture *f)
{
	MUST(store_put_mode(f->s, &(struct store_mode_span){.loop = 1,
							    .from_ns = FIXTURE_START,
							    .to_ns = FIXTURE_START + MS(100)}));
}

void fixture_sleeping(struct fixture *f)
{
	fixture_native(f, 1, "debugCommand", 42);
	for (int64_t i = 1; i <= 3; i++) {
		struct store_block b = {.id = i,
					.loop = 1,
					.stall = i,
					.count = 1,
					.syscall = "clock_nanosleep",
					.start_ns = FIXTURE_START + MS(1000 * i),
					.duration_ns = MS(300),
					.args_json = "{\"requested_ns\":300000000}",
					.resource_kind = "timer",
					.requested_ns = MS(300),
					.stack = 1};

		fixture_stall(f, i, (unsigned)(1000 * i), 300, LSC_CAUSE_SLEEP, "clock_nanosleep",
			      1);
		MUST(store_put_block(f->s, &b));
	}
	for (int64_t i = 1; i <= 20; i++)
		fixture_wait(f, i, STORE_WAIT_SOCKET, 1000 + (unsigned)i, 299 - (unsigned)i, 0);
	MUST(store_put_loss(f->s, LSC_LOSS_BPF_RING_FULL, 0));
	MUST(store_put_unseen(f->s, "JavaScript frames", "this redis-server has none"));
}

void fixture_hostile(struct fixture *f)
{
	static const char evil[] =
		"</script><b>\033]0;owned\a\033[31m\xff\xc0\xafx\xe2\x80\xae\n\r\xed\xa0\x80";
	struct store_task task = {.id = 1,
				  .loop = 1,
				  .name = evil,
				  .state = evil,
				  .steps = UINT64_MAX,
				  .run_ns = UINT64_MAX,
				  .max_step_ns = UINT64_MAX};
	struct store_stall stall = {.id = 1,
				    .loop = 1,
				    .start_ns = UINT64_MAX / 4,
				    .duration_ns = INT64_MAX,
				    .duration_min_ns = UINT64_MAX,
				    .duration_max_ns = UINT64_MAX,
				    .task = 1,
				    .stack = 1};
	struct store_block block = {.id = 1,
				    .loop = 1,
				    .stall = 1,
				    .task = 1,
				    .start_ns = 1,
				    .duration_ns = UINT64_MAX - 1,
				    .count = UINT64_MAX - 1,
				    .syscall = evil,
				    .cause = LSC_CAUSE_LOCK,
				    .args_json = "{\"a\":{\"b\":[]},\"c\":\"\\u001b[2J\"}",
				    .resource_kind = evil,
				    .path = evil,
				    .peer = evil,
				    .owner_tid = -1,
				    .owner_comm = evil,
				    .stack = 1};
	struct store_frame frames[2] = {
		{.function = evil,
		 .file = evil,
		 .module = evil,
		 .line = -5,
		 .offset = UINT64_MAX - 1},
		{.lang = STORE_LANG_JS, .function = evil, .file = "\xff.js", .line = 3},
	};
	struct store_stack stack = {.id = 1, .nframes = 2, .frames = frames};
	struct store_wait wait = {.id = 1,
				  .loop = 1,
				  .kind = STORE_WAIT_SOCKET,
				  .fd = -7,
				  .peer = evil,
				  .name = evil,
				  .ready_ns = 1,
				  .wait_ns = UINT64_MAX - 1};

	for (int c = 0; c < LSC_CAUSE_COUNT; c++)
		stall.split[c] = INT64_MAX;
	MUST(store_put_task(f->s, &task));
	MUST(store_put_stack(f->s, &stack));
	MUST(store_put_stall(f->s, &stall));
	MUST(store_put_block(f->s, &block));
	MUST(store_put_wait(f->s, &wait));
	MUST(store_put_culprit(
		f->s, &(struct store_culprit){.stall = 1, .task = 1, .ns = UINT64_MAX - 1}));
	MUST(store_put_sample(
		f->s, &(struct store_sample){.loop = 1, .stall = 1, .ns = INT64_MAX, .stack = 1}));
	MUST(store_put_sample(
		f->s, &(struct store_sample){.loop = 1, .stall = 1, .ns = INT64_MAX, .stack = 1}));
	MUST(store_put_mark(
		f->s,
		&(struct store_mark){.loop = 1, .task = 1, .ts_ns = UINT64_MAX / 4, .text = evil}));
	MUST(store_put_counter(f->s, &(struct store_counter){.id = 1,
							     .loop = 1,
							     .name = evil,
							     .count = UINT64_MAX,
							     .first_ns = UINT64_MAX,
							     .last = INT64_MIN,
							     .min = INT64_MIN,
							     .max = INT64_MAX}));
	MUST(store_put_site_stack(
		f->s, &(struct store_site_stack){1, 1, {evil, evil, INT_MAX}, UINT64_MAX, 1}));
	MUST(store_put_unseen(f->s, evil, evil));
	MUST(store_add_unresolved(f->s, evil, evil, INT64_MAX));
	MUST(store_put_loss(f->s, LSC_LOSS_QUOTA, INT64_MAX));
	MUST(store_put_step(f->s, 0, evil));
	MUST(store_put_chunk(
		f->s, &(struct store_chunk){
			      .id = 1, .loop = 1, .count = 9, .data = evil, .size = sizeof(evil)}));
}

void fixture_host(struct fixture *f)
{
	fixture_stall(f, 1, 1000, 80, LSC_CAUSE_RUNQUEUE, NULL, 0);
}

const struct finding *fixture_finding(const struct analysis *a, const char *rule)
{
	for (size_t i = 0; i < a->nfindings; i++)
		if (!strcmp(a->findings[i].rule->id, rule))
			return &a->findings[i];
	return NULL;
}
