/* SPDX-License-Identifier: MIT */
/* The answers are one number each; what has come is for indexers to judge. */
#include "inspect/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "inspect/fetcher.h"

#define FILES_MAX    512		 /* build ids of one capture */
#define FILES_OF_ONE (FILES_MAX / 4)	 /* that one target was the first to lack */
#define ASKERS_MAX   1024		 /* files of targets that wait for them */
#define SILENCES     2			 /* in a row; then the servers are left alone for a while */
#define PATIENCE_NS  (10 * LSC_NS_PER_S) /* beyond the fetcher's own limit: it hangs */

enum fetch_state { FETCH_WAITS, FETCH_CAME, FETCH_MISSED, FETCH_TOLD };

struct fetch_asker {
	STAILQ_ENTRY(fetch_asker) link;
	struct desk_question q;
};

struct fetch_file {
	UT_hash_handle hh;
	char build_id[MESSAGE_BUILD_ID_MAX];
	int pid;		       /* of the first that lacked it */
	int turn_of;		       /* the target in whose turn it was asked for; 0 not yet */
	uint64_t turn;		       /* ... and the number of that turn */
	STAILQ_ENTRY(fetch_file) link; /* in the queue */
	STAILQ_HEAD(, fetch_asker) askers;
	enum fetch_state state;
	int status;	  /* why it is missed */
	uint32_t edition; /* CAME: with which one */
};

int fetch_init(struct fetch *f, int epoll, int keeper, bool on, fetch_come_fn *fn, void *arg)
{
	STAILQ_INIT(&f->queue);
	f->on = on && fetcher_has_server();
	f->limit_ns = fetcher_limit_ns() + PATIENCE_NS;
	f->fn = fn;
	f->arg = arg;
	return crew_init(&f->crew, epoll, keeper);
}

static void drop_askers(struct fetch *f, struct fetch_file *file)
{
	struct fetch_asker *a;

	while ((a = STAILQ_FIRST(&file->askers))) {
		STAILQ_REMOVE_HEAD(&file->askers, link);
		f->askers--;
		free(a);
	}
}

void fetch_done(struct fetch *f)
{
	struct fetch_file *file, *next;

	crew_end(&f->crew);
	HASH_ITER(hh, f->files, file, next)
	{
		HASH_DEL(f->files, file);
		drop_askers(f, file);
		free(file);
	}
}

static bool has_room(const struct fetch *f, int pid)
{
	unsigned int n = 0;

	for (const struct fetch_file *file = f->files; file; file = file->hh.next)
		n += file->pid == pid;
	return HASH_COUNT(f->files) < FILES_MAX && n < FILES_OF_ONE;
}

static struct fetch_file *file_new(struct fetch *f, int pid, const char *build_id, uint64_t now_ns)
{
	struct fetch_file *file = has_room(f, pid) ? calloc(1, sizeof(*file)) : NULL;

	if (!file)
		return NULL;
	file->pid = pid;
	memcpy(file->build_id, build_id, strlen(build_id) + 1);
	STAILQ_INIT(&file->askers);
	HASH_ADD_STR(f->files, build_id, file);
	if (!file->hh.tbl) {
		free(file);
		return NULL;
	}
	STAILQ_INSERT_TAIL(&f->queue, file, link);
	crew_call(&f->crew, now_ns);
	return file;
}

static void add_asker(struct fetch *f, struct fetch_file *file, const struct desk_question *q)
{
	struct fetch_asker *a;

	STAILQ_FOREACH(a, &file->askers, link)
	{
		if (desk_is_same_file(&a->q, q))
			return;
	}
	a = f->askers < ASKERS_MAX ? malloc(sizeof(*a)) : NULL;
	if (!a)
		return;
	a->q = *q;
	a->q.noffsets = 0;
	STAILQ_INSERT_TAIL(&file->askers, a, link);
	f->askers++;
}

void fetch_want(struct fetch *f, const struct desk_question *q, const char *build_id,
		uint32_t edition, uint64_t now_ns)
{
	struct fetch_file *file;

	if (!f->on)
		return;
	HASH_FIND_STR(f->files, build_id, file);
	if (!file)
		file = file_new(f, q->pid, build_id, now_ns);
	if (!file)
		return;
	if (file->state == FETCH_WAITS)
		add_asker(f, file, q);
	else if (file->state == FETCH_CAME && edition < file->edition)
		f->fn(q, file->edition, f->arg); /* it came while the file was indexed */
}

bool fetch_is_under_way(const struct fetch *f, const char *build_id, uint32_t edition)
{
	const struct fetch_file *file;

	HASH_FIND_STR(f->files, build_id, file);
	return file && (file->state == FETCH_WAITS ||
			(file->state == FETCH_CAME && file->edition > edition));
}

static void come(struct fetch *f, struct fetch_file *file)
{
	struct fetch_asker *a;

	file->state = FETCH_CAME;
	file->edition = ++f->edition;
	STAILQ_FOREACH(a, &file->askers, link)
	{
		f->fn(&a->q, file->edition, f->arg);
	}
	drop_askers(f, file);
}

static void miss(struct fetch *f, struct fetch_file *file, int status, uint64_t now_ns)
{
	file->state = FETCH_MISSED;
	file->status = status;
	if (status == -ETIME)
		strikes_add(&f->silence, SILENCES, now_ns);
	else
		f->silence = (struct strikes){0};
}

/* The fetcher is lost, or late. */
static void lose(struct fetch *f, int status, uint64_t now_ns)
{
	crew_replace(&f->crew, now_ns);
	if (f->at)
		miss(f, f->at, status, now_ns);
	f->at = NULL;
}

static void receive(struct fetch *f, uint64_t now_ns)
{
	struct message_status m;

	if (!f->crew.heard)
		return;
	f->crew.heard = false;
	ssize_t n = message_recv(f->crew.worker, &m, sizeof(m), NULL, 0, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n != sizeof(m) || m.kind != MESSAGE_FETCHED || m.value > 0 || !f->at) {
		lose(f, -EPROTO, now_ns);
		return;
	}
	struct fetch_file *file = f->at;
	f->at = NULL;
	f->crew.failures = 0;
	if (m.value == 0)
		come(f, file);
	else
		miss(f, file, m.value == -ETIMEDOUT ? -ETIME : m.value, now_ns);
}

/* The target's last turn; 0: it has had none. */
static uint64_t last_turn(const struct fetch *f, int pid)
{
	uint64_t last = 0;

	for (const struct fetch_file *file = f->files; file; file = file->hh.next)
		if (file->turn_of == pid && file->turn > last)
			last = file->turn;
	return last;
}

/* Targets take turns, however many files one of them lacks; each gets its own in their order. What
 * several lack is asked for in the first turn of one of them. */
static struct fetch_file *choose(const struct fetch *f, int *ret_pid)
{
	struct fetch_file *file, *best = NULL;
	const struct fetch_asker *a;
	uint64_t least = UINT64_MAX, last;

	STAILQ_FOREACH(file, &f->queue, link)
	{
		last = last_turn(f, file->pid);
		if (last < least) {
			least = last;
			best = file;
			*ret_pid = file->pid;
		}
		STAILQ_FOREACH(a, &file->askers, link)
		{
			last = last_turn(f, a->q.pid);
			if (last < least) {
				least = last;
				best = file;
				*ret_pid = a->q.pid;
			}
		}
	}
	return best;
}

static void ask(struct fetch *f, uint64_t now_ns)
{
	struct message_fetch m = {.kind = MESSAGE_FETCH};
	int pid = 0;

	if (f->at || f->crew.state != CREW_UP || strikes_hold(&f->silence, now_ns))
		return;
	struct fetch_file *file = choose(f, &pid);
	if (!file)
		return;
	memcpy(m.build_id, file->build_id, sizeof(m.build_id));
	if (message_send(f->crew.worker, &m, sizeof(m), NULL, 0, NULL, 0, MSG_DONTWAIT) < 0) {
		lose(f, 0, now_ns);
		return;
	}
	STAILQ_REMOVE(&f->queue, file, fetch_file, link);
	file->turn_of = pid;
	file->turn = ++f->turns;
	f->at = file;
	f->deadline_ns = now_ns + f->limit_ns;
}

void fetch_step(struct fetch *f, uint64_t now_ns)
{
	crew_step(&f->crew, now_ns);
	if (f->crew.state == CREW_UP)
		receive(f, now_ns);
	if (f->at && f->crew.state != CREW_UP)
		lose(f, -EPROTO, now_ns);
	else if (f->at && now_ns >= f->deadline_ns)
		lose(f, -ETIME, now_ns);
	ask(f, now_ns);
}

uint64_t fetch_deadline_ns(const struct fetch *f)
{
	uint64_t at = crew_deadline_ns(&f->crew);
	uint64_t next = f->at			   ? f->deadline_ns
			: !STAILQ_EMPTY(&f->queue) ? f->silence.until_ns
						   : UINT64_MAX;

	if (f->crew.state != CREW_UP) /* what waits, waits for that */
		return at;
	return next < at ? next : at;
}

void fetch_end(struct fetch *f)
{
	for (struct fetch_file *file = f->files; file; file = file->hh.next)
		if (file->state == FETCH_WAITS)
			miss(f, file, -ECANCELED, 0);
}

static const char *text_of(int status)
{
	switch (status) {
	case -ENOENT:
		return "debuginfod has none";
	case -ELIBACC:
		return "libdebuginfod is not installed";
	case -ETIME:
		return "debuginfod did not answer in time";
	case -ECANCELED:
		return "debuginfod had not answered when the capture ended";
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EADDRNOTAVAIL:
		return "debuginfod cannot be reached";
	case -EFBIG:
		return "the file that debuginfod has is too large";
	case -ENOSPC:
		return "the disk that files of debuginfod are kept on is nearly full";
	case -EACCES:
	case -EROFS:
		return "the cache for files of debuginfod cannot be used";
	}
	return "debuginfod failed";
}

bool fetch_next_missed(struct fetch *f, struct inspector_missed *ret)
{
	for (struct fetch_file *file = f->files; file; file = file->hh.next) {
		if (file->state != FETCH_MISSED)
			continue;
		drop_askers(f, file);
		file->state = FETCH_TOLD;
		*ret = (struct inspector_missed){.build_id = file->build_id,
						 .why = text_of(file->status),
						 .absent = file->status == -ENOENT};
		return true;
	}
	return false;
}
