/* SPDX-License-Identifier: MIT */
/* What nobody uses is given up first, of that what was used longest ago. */
#include "inspect/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FILES_MAX   2048
#define STRIKES_MAX 2

_Static_assert(MESSAGE_SLOTS <= 32, "a slot is a bit");

static void close_fd(struct shelf *s, struct shelf_file *f)
{
	s->nfds -= f->fd >= 0;
	lsc_closep(&f->fd);
	f->fd = -1;
}

static void give_up(struct shelf *s, struct shelf_file *f)
{
	HASH_DEL(s->files, f);
	s->bytes -= f->bytes;
	close_fd(s, f);
	free(f);
}

void shelf_done(struct shelf *s)
{
	struct shelf_file *f, *next;

	HASH_ITER(hh, s->files, f, next)
	{
		give_up(s, f);
	}
}

/* Gives up one. False: all are in use. */
static bool make_room(struct shelf *s, const struct shelf_file *but)
{
	struct shelf_file *oldest = NULL;

	for (struct shelf_file *f = s->files; f; f = f->hh.next)
		if (f != but && !f->slots && !f->pins && (!oldest || f->used_ns < oldest->used_ns))
			oldest = f;
	if (oldest)
		give_up(s, oldest);
	return oldest;
}

static struct shelf_file *find(const struct shelf *s, const struct shelf_key *key)
{
	struct shelf_file *f;

	HASH_FIND(hh, s->files, key, sizeof(*key), f);
	return f;
}

static struct shelf_file *get(struct shelf *s, const struct shelf_key *key,
			      const struct shelf_file *but, uint64_t now_ns)
{
	struct shelf_file *f = find(s, key);

	if (f) {
		f->used_ns = now_ns;
		return f;
	}
	if (HASH_COUNT(s->files) >= FILES_MAX && !make_room(s, but))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->key = *key;
	f->fd = -1;
	f->used_ns = now_ns;
	HASH_ADD(hh, s->files, key, sizeof(f->key), f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	return f;
}

struct shelf_file *shelf_get(struct shelf *s, uint64_t dev, uint64_t inode, uint64_t now_ns)
{
	const struct shelf_key key = {.dev = dev, .inode = inode};

	return get(s, &key, NULL, now_ns);
}

/* What workers have of it is counted as long as they do. */
static void set_aside(struct shelf *s, struct shelf_file *f)
{
	struct shelf_file *old = f->slots && f->bytes ? calloc(1, sizeof(*old)) : NULL;

	if (old) {
		old->key = f->key;
		old->key.generation = ++s->generation;
		old->fd = -1;
		old->bytes = f->bytes;
		old->slots = f->slots;
		HASH_ADD(hh, s->files, key, sizeof(old->key), old);
	}
	if (!old || !old->hh.tbl) {
		free(old);
		s->bytes -= f->bytes;
	}
	f->bytes = 0;
	f->slots = 0;
	close_fd(s, f);
}

/* Lets go of the descriptor that was used longest ago; a worker that has the index keeps it. */
static void close_oldest(struct shelf *s)
{
	struct shelf_file *oldest = NULL;

	for (struct shelf_file *f = s->files; f; f = f->hh.next)
		if (f->fd >= 0 && !f->pins && (!oldest || f->used_ns < oldest->used_ns))
			oldest = f;
	if (oldest)
		set_aside(s, oldest);
}

int shelf_put(struct shelf *s, struct shelf_file *f, const struct message_index *head, int fd)
{
	int64_t size = index_is_sealed(fd) ? index_check(fd, &head->head) : -EBADF;

	if (size < 0)
		return (int)size;
	set_aside(s, f);
	while (s->bytes + (uint64_t)size > SHELF_BYTES_MAX)
		if (!make_room(s, f))
			return -EFBIG;
	if (s->nfds >= SHELF_FDS_MAX)
		close_oldest(s);
	f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (f->fd < 0)
		return -errno;
	s->nfds++;
	f->bytes = (uint64_t)size;
	s->bytes += f->bytes;
	f->head = *head;
	f->head.nlines = 0;
	return 0;
}

bool shelf_use(const struct shelf *s, struct shelf_file *f, uint32_t slot)
{
	uint32_t bit = 1u << slot;
	uint64_t used = f->bytes;

	for (const struct shelf_file *o = s->files; o; o = o->hh.next)
		if (o != f && o->slots & bit)
			used += o->bytes;
	if (used > SHELF_SHARE_MAX)
		return false;
	f->slots |= bit;
	return true;
}

static struct shelf_key key_for(const struct shelf_file *f, int pid)
{
	return (struct shelf_key){.dev = f->key.dev, .inode = f->key.inode, .pid = (uint64_t)pid};
}

const struct strikes *shelf_strikes(const struct shelf *s, const struct shelf_file *f, int pid)
{
	const struct shelf_key key = key_for(f, pid);
	const struct shelf_file *record = find(s, &key);

	return record ? &record->strikes : NULL;
}

void shelf_strike(struct shelf *s, const struct shelf_file *f, int pid, uint64_t now_ns)
{
	const struct shelf_key key = key_for(f, pid);
	struct shelf_file *record = get(s, &key, f, now_ns);

	if (record)
		strikes_add(&record->strikes, STRIKES_MAX, now_ns);
}

void shelf_leave(struct shelf *s, uint32_t slot)
{
	for (struct shelf_file *f = s->files; f; f = f->hh.next)
		f->slots &= slot == SHELF_ALL_SLOTS ? 0 : ~(1u << slot);
}
