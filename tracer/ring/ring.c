/* SPDX-License-Identifier: MIT */
/* The reader of one ring: finding, opening, copying, validating, assembling texts, counting. */
#include "ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ring_clock.h"

#define BATCH	    512 /* records of one pread */
#define SEALS	    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define USER_BITS   56
#define USER_END    (1ull << USER_BITS) /* above every user address of the 64-bit machines */
#define HEAD_OFFSET offsetof(struct lsc_ring_header, head)

struct ring {
	int fd;
	bool dead;
	struct ring_info info;
	struct ring_clock clock;
	uint64_t start;	  /* head when the ring was opened: records from here on count */
	uint64_t cursor;  /* next index to read */
	uint64_t head;	  /* as last seen ... */
	uint64_t head_ns; /* ... and when */
	uint64_t last_ns; /* time of the record before */
	bool gap;	  /* something is missing before the next record */
	struct ring_ledger ledger;
	/* a record that waits for its text */
	struct ring_record pending; /* kind 0: none */
	uint32_t parts;
	char text[LSC_TEXT_MAX];
	struct lsc_record batch[BATCH];
};

int ring_scan(int pid, ring_found_fn *fn, void *arg)
{
	static const char wanted[] = "/memfd:" LSC_RING_MEMFD_NAME " (deleted)";
	char path[64], link[sizeof(wanted) + 1];
	int found = 0, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	for (int looked = 0; !r && looked < RING_SCAN_MAX; looked++) {
		struct dirent *entry = readdir(dir);
		if (!entry)
			break;
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link));
		if (n != (ssize_t)sizeof(wanted) - 1 || memcmp(link, wanted, (size_t)n) != 0)
			continue;
		if (found++ == RING_FOUND_MAX) {
			r = -E2BIG;
			break;
		}
		r = fn(atoi(entry->d_name), arg);
	}
	closedir(dir);
	return r ? r : found;
}

static int read_head(struct ring *r, uint64_t *ret_head)
{
	uint64_t head, now = lsc_now_ns();

	if (pread(r->fd, &head, sizeof(head), HEAD_OFFSET) != sizeof(head))
		return -EBADMSG;
	/* never backwards, and never more than a record a nanosecond */
	if (head < r->head || head - r->head > now - r->head_ns + r->info.slots)
		return -EBADMSG;
	r->head = head;
	r->head_ns = now;
	*ret_head = head;
	return 0;
}

/* The geometry, from the file itself: seals first, so that nothing that hangs or shrinks is looked
 * at. */
static int check_file(int fd, struct stat *ret_stat, struct lsc_err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st = {0};

	if (seals < 0 || (seals & SEALS) != SEALS)
		return lsc_err_set(err, -EPROTO, "the ring is not a sealed memfd");
	if (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC || fstat(fd, &st))
		return lsc_err_set(err, -EPROTO, "the ring is not a memfd of plain pages");
	*ret_stat = st;
	return 0;
}

static int check_header(const struct lsc_ring_header *h, off_t size, struct lsc_err *err)
{
	if (h->magic != LSC_RING_MAGIC)
		return lsc_err_set(err, -EPROTO, "the ring has no magic");
	if (h->version != LSC_RING_VERSION)
		return lsc_err_set(err, -EPROTO,
				   "the ring is of version %u, this loopscope reads %u", h->version,
				   LSC_RING_VERSION);
	if (h->header_size != LSC_RING_HEADER_SIZE || h->record_size != LSC_RECORD_SIZE ||
	    h->record_bits < LSC_RING_MIN_BITS || h->record_bits > LSC_RING_MAX_BITS ||
	    size != (off_t)LSC_RING_HEADER_SIZE + ((off_t)LSC_RECORD_SIZE << h->record_bits))
		return lsc_err_set(err, -EPROTO, "the ring's size is not what its header says");
	if (!h->pid || h->pid > INT32_MAX || !h->tid || h->tid > INT32_MAX)
		return lsc_err_set(err, -EPROTO, "the ring names no process");
	if (h->current_offset != offsetof(struct lsc_ring_header, current_task) ||
	    !h->current_addr || h->current_addr % 4 || h->current_addr >= USER_END)
		return lsc_err_set(err, -EPROTO, "the ring's current task is nowhere");
	return 0;
}

static void keep_info(struct ring *r, const struct lsc_ring_header *h, uint64_t ino)
{
	r->info = (struct ring_info){
		.pid = h->pid,
		.tid = h->tid,
		.clock = h->clock,
		.slots = 1u << h->record_bits,
		.ino = ino,
		.current_addr = h->current_addr,
	};
	memcpy(r->info.runtime, h->runtime, sizeof(h->runtime) - 1);
	memcpy(r->info.runtime_version, h->runtime_version, sizeof(h->runtime_version) - 1);
}

/* Fills r from the file; its fd is set. */
static int begin(struct ring *r, enum ring_from from, struct lsc_err *err)
{
	struct lsc_ring_header h;
	struct stat st = {0};
	int e = check_file(r->fd, &st, err);

	if (e < 0)
		return e;
	if (st.st_size < (off_t)sizeof(h) || pread(r->fd, &h, sizeof(h), 0) != sizeof(h))
		return lsc_err_set(err, -EPROTO, "the ring is shorter than its header");
	e = check_header(&h, st.st_size, err);
	if (e < 0)
		return e;
	keep_info(r, &h, st.st_ino);
	e = ring_clock_init(&r->clock, h.clock, h.tsc0, h.mono0_ns);
	if (e < 0)
		return lsc_err_set(err, e, "the ring's clock cannot be read");
	if (read_head(r, &r->start) < 0)
		return lsc_err_set(err, -EPROTO, "the ring's head is absurd");
	r->cursor = r->start;
	if (from == RING_FROM_OLDEST)
		r->cursor = r->start < r->info.slots ? 0 : r->start - r->info.slots + 1;
	r->gap = r->cursor > 0;
	return 0;
}

int ring_open_fd(int fd, enum ring_from from, struct ring **ret_ring, struct lsc_err *err)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (!r) {
		close(fd);
		return lsc_err_set(err, -ENOMEM, "out of memory");
	}
	r->fd = fd;
	int e = begin(r, from, err);
	if (e < 0) {
		ring_close(r);
		return e;
	}
	*ret_ring = r;
	return 0;
}

int ring_open(int pidfd, int target_fd, enum ring_from from, struct ring **ret_ring,
	      struct lsc_err *err)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, target_fd, 0);

	if (fd < 0)
		return lsc_err_set(err, -errno, "cannot take the target's descriptor %d: %s",
				   target_fd, strerror(errno));
	return ring_open_fd(fd, from, ret_ring, err);
}

struct ring *ring_close(struct ring *r)
{
	if (!r)
		return NULL;
	close(r->fd);
	free(r);
	return NULL;
}

const struct ring_info *ring_info(const struct ring *r)
{
	return &r->info;
}

struct ring_ledger ring_ledger(const struct ring *r)
{
	return r->ledger;
}

int ring_request_snapshot(struct ring *r)
{
	uint32_t word;
	off_t at = offsetof(struct lsc_ring_header, listener);

	if (pread(r->fd, &word, sizeof(word), at) != sizeof(word))
		return -EBADMSG;
	word++;
	ssize_t n = pwrite(r->fd, &word, sizeof(word), at);
	return n == sizeof(word) ? 0 : n < 0 ? -errno : -EIO;
}

static void deliver_pending(struct ring *r, ring_record_fn *fn, void *arg)
{
	if (r->pending.kind)
		fn(&r->pending, arg);
	r->pending.kind = LSC_REC_NONE;
}

/* One record of the past counts in the ledger if it was written since the opening. */
static void count(struct ring *r, uint64_t index, uint64_t *reason)
{
	if (index < r->start)
		return;
	r->ledger.emitted++;
	++*reason;
}

/* What the text before it belongs to ends here, complete or not. A text with a missing piece is
 * none. */
static void lose(struct ring *r, uint64_t index, uint64_t *reason, ring_record_fn *fn, void *arg)
{
	deliver_pending(r, fn, arg);
	count(r, index, reason);
	r->gap = true;
}

static void skip_to(struct ring *r, uint64_t to, ring_record_fn *fn, void *arg)
{
	uint64_t from = r->cursor > r->start ? r->cursor : r->start;

	if (to <= r->cursor)
		return;
	deliver_pending(r, fn, arg);
	r->gap = true;
	r->cursor = to;
	if (to > from) {
		r->ledger.emitted += to - from;
		r->ledger.overrun += to - from;
	}
}

/* A piece of the pending record's text. Pieces that belong to nothing are dropped. */
static void take_text(struct ring *r, const struct lsc_record *raw, ring_record_fn *fn, void *arg)
{
	struct lsc_record_text piece;
	struct ring_record *p = &r->pending;

	memcpy(&piece, raw, sizeof(piece));
	if (!p->kind)
		return;
	if ((piece.part & ~LSC_TEXT_LAST) != r->parts ||
	    p->text_size + piece.length > LSC_TEXT_MAX) {
		p->text = NULL;
		p->text_size = 0;
		deliver_pending(r, fn, arg);
		return;
	}
	memcpy(r->text + p->text_size, piece.text, piece.length);
	p->text = r->text;
	p->text_size += piece.length;
	r->parts++;
	if (piece.part & LSC_TEXT_LAST)
		deliver_pending(r, fn, arg);
}

/* Whether the fields of a known kind hold what they may hold. */
static bool plausible(const struct lsc_record *raw)
{
	switch (raw->kind) {
	case LSC_REC_NONE:
		return false;
	case LSC_REC_TASK_NEW:
	case LSC_REC_TASK_READY:
	case LSC_REC_TASK_RUN:
	case LSC_REC_TASK_SUSPEND:
	case LSC_REC_TASK_YIELD:
	case LSC_REC_TASK_CANCEL:
	case LSC_REC_SITE:
		return raw->task != 0;
	case LSC_REC_SITE_STACK:
		return raw->task && raw->arg8 < USER_BITS && raw->arg64 < USER_END;
	case LSC_REC_TASK_DONE:
		return raw->task && raw->arg8 <= 2;
	case LSC_REC_TASK_STATE:
		return raw->task && raw->arg8 <= LSC_TASK_FAILED;
	case LSC_REC_TEXT: {
		struct lsc_record_text piece;
		memcpy(&piece, raw, sizeof(piece));
		return piece.length >= 1 && piece.length <= sizeof(piece.text);
	}
	default:
		return true;
	}
}

/* One record that was copied soundly. */
static void take(struct ring *r, uint64_t index, const struct lsc_record *raw, uint64_t now_ns,
		 ring_record_fn *fn, void *arg)
{
	struct ring_record rec = {.index = index,
				  .kind = raw->kind,
				  .arg8 = raw->arg8,
				  .arg16 = raw->arg16,
				  .task = raw->task,
				  .arg64 = raw->arg64};

	if (raw->seq != index + 1 || !plausible(raw) ||
	    ring_clock_convert(&r->clock, raw->time, now_ns, &rec.time_ns) < 0 ||
	    (raw->kind == LSC_REC_TASK_STATE &&
	     ring_clock_convert(&r->clock, raw->arg64, now_ns, &rec.arg64) < 0)) {
		lose(r, index, &r->ledger.invalid, fn, arg);
		return;
	}
	count(r, index, &r->ledger.delivered);
	if (rec.time_ns < r->last_ns) {
		rec.time_ns = r->last_ns;
		r->ledger.clamped += index >= r->start;
	}
	r->last_ns = rec.time_ns;
	if (raw->kind == LSC_REC_TEXT) {
		take_text(r, raw, fn, arg);
		return;
	}
	deliver_pending(r, fn, arg);
	if (raw->kind > LSC_REC_LAST) {
		r->ledger.unknown += index >= r->start;
		return;
	}
	rec.history = index < r->start;
	rec.gap = r->gap;
	r->gap = false;
	r->pending = rec;
	r->parts = 0;
	if (rec.kind != LSC_REC_TASK_NEW && rec.kind != LSC_REC_SITE && rec.kind != LSC_REC_MARK &&
	    rec.kind != LSC_REC_COUNTER)
		deliver_pending(r, fn, arg);
}

/* Copies and takes up to n records that do not wrap. */
static int read_batch(struct ring *r, size_t n, ring_record_fn *fn, void *arg)
{
	uint64_t slots = r->info.slots, slot = r->cursor & (slots - 1), first = r->cursor, head;

	if (n > BATCH)
		n = BATCH;
	if (n > slots - slot)
		n = slots - slot;
	size_t bytes = n * sizeof(r->batch[0]);
	if (pread(r->fd, r->batch, bytes,
		  (off_t)(LSC_RING_HEADER_SIZE + slot * sizeof(r->batch[0]))) != (ssize_t)bytes ||
	    read_head(r, &head) < 0)
		return -EBADMSG;
	/* what the producer may have been writing over while we copied is gone */
	uint64_t sound = head < slots ? 0 : head - slots + 1;
	skip_to(r, sound < first + n ? sound : first + n, fn, arg);
	while (r->cursor < first + n) {
		uint64_t index = r->cursor++;
		take(r, index, &r->batch[index - first], r->head_ns, fn, arg);
	}
	return (int)n;
}

int ring_read(struct ring *r, size_t max, ring_record_fn *fn, void *arg)
{
	uint64_t head, before = r->cursor;
	size_t left = max < INT32_MAX ? max : INT32_MAX;
	int e = r->dead ? -EBADMSG : ring_clock_calibrate(&r->clock);

	if (e == -EAGAIN)
		return 0;
	if (e < 0 || read_head(r, &head) < 0)
		goto distrust;
	if (head == r->cursor)
		deliver_pending(r, fn,
				arg); /* nothing came behind it: it has no text, or not all */
	if (head - r->cursor >= r->info.slots)
		skip_to(r, head - r->info.slots + 1, fn, arg);
	while (left && r->cursor < head) {
		e = read_batch(r, left < head - r->cursor ? left : head - r->cursor, fn, arg);
		if (e < 0)
			goto distrust;
		left -= (size_t)e;
	}
	return r->cursor - before < INT32_MAX ? (int)(r->cursor - before) : INT32_MAX;

distrust:
	deliver_pending(r, fn, arg);
	r->dead = true;
	return -EBADMSG;
}
