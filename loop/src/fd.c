/* SPDX-License-Identifier: MIT */
/*
 * Waits for descriptors. A reactor's watch stays until the descriptor is closed, and a proactor's
 * operation holds the file open, so whoever closes a descriptor tells the table (lsc_close()). One
 * that was closed behind its back would be waited for in vain: that is found out within twice
 * RECHECK_NS.
 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop.h"
#include "loopscope/fd.h"
#include "loopscope/io.h"
#include "task.h"

/* How long a wait may be in vain, and half of how long it is: an idle descriptor is asked about
 * once. */
#define RECHECK_NS (50 * LSC_NS_PER_MS)

static void recheck(struct job *job);

static const struct job_ops recheck_job = {.run = recheck};

void fd_table_init(struct fd_table *table)
{
	list_init(&table->unsure);
	table->recheck.job.ops = &recheck_job;
}

void fd_table_done(struct fd_table *table)
{
	for (size_t i = 0; i < table->room; i++)
		free(table->entries[i]);
	free(table->entries);
	*table = (struct fd_table){0};
}

static struct fd_entry *find(const struct fd_table *table, int fd)
{
	return fd >= 0 && (size_t)fd < table->room ? table->entries[fd] : NULL;
}

static int make_entry(struct fd_table *table, int fd, struct fd_entry **ret)
{
	/* A number that is no descriptor must not make the table as large as it is. */
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	if ((size_t)fd >= table->room) {
		size_t room = 2 * table->room > (size_t)fd ? 2 * table->room : (size_t)fd + 64;
		struct fd_entry **grown = realloc(table->entries, room * sizeof(struct fd_entry *));

		if (!grown)
			return -ENOMEM;
		memset(grown + table->room, 0, (room - table->room) * sizeof(struct fd_entry *));
		table->entries = grown;
		table->room = room;
	}
	struct fd_entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	list_init(&entry->waits);
	list_init(&entry->unsure);
	entry->fd = fd;
	table->entries[fd] = entry;
	*ret = entry;
	return 0;
}

int fd_entry_get(struct lsc_loop *loop, int fd, struct fd_entry **ret)
{
	*ret = find(&loop->fds, fd);
	return *ret ? 0 : make_entry(&loop->fds, fd, ret);
}

int fd_learn_kind(struct fd_entry *entry, int fd)
{
	struct stat st;

	if (entry->kind != FD_UNKNOWN)
		return 0;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	entry->kind = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) ? FD_FILE
		      : flags & O_NONBLOCK ? FD_NONBLOCKING
					   : FD_BLOCKING;
	return 0;
}

static uint64_t token_of(const struct fd_entry *entry, int fd)
{
	return (uint32_t)fd | (uint64_t)entry->generation << 32;
}

/* What was known is of a descriptor that is no more. */
static void reset(struct fd_entry *entry)
{
	entry->generation++;
	entry->watched = 0;
	entry->kind = FD_UNKNOWN;
	entry->is_tcp = entry->protocol_known = entry->empty = entry->ended = false;
}

/* The kernel may still write into the buffer of what is under way: that ends when it is done. */
static bool ends_later(struct fd_wait *w, int error)
{
	if (!w->submitted)
		return false;
	if (w->op.code != BACKEND_POLL) {
		w->closed = error;
		w->loop->backend->cancel(w->loop, &w->op);
		return true;
	}
	w->loop->backend->forget(w->loop, &w->op);
	w->submitted = false;
	return false;
}

/* Ends the waits that events or error end; the others stay. A wake may begin new waits, which are
 * not of this round. */
static void wake(struct fd_entry *entry, uint32_t events, int error)
{
	struct list ending;

	list_init(&ending);
	for (struct list *l = entry->waits.next, *next; l != &entry->waits; l = next) {
		struct fd_wait *w = container_of(l, struct fd_wait, link);

		next = l->next;
		if (error == 0 && (events & (w->events | POLLERR | POLLHUP)) == 0)
			continue;
		list_remove(l);
		list_append(&ending, l);
	}
	while (!list_empty(&ending)) {
		struct fd_wait *w = container_of(ending.next, struct fd_wait, link);
		uint32_t met = events & (w->events | POLLERR | POLLHUP);

		list_remove(&w->link);
		if (!ends_later(w, error))
			w->wake(w, error != 0 ? error : (int)met);
	}
}

void fd_is_new(struct lsc_loop *loop, int fd)
{
	struct fd_entry *entry = find(&loop->fds, fd);

	if (!entry)
		return;
	reset(entry);
	wake(entry, 0, -EBADF); /* it was closed under them */
}

void fd_forget(struct lsc_loop *loop, int fd)
{
	struct fd_entry *entry = find(&loop->fds, fd);

	if (!entry)
		return;
	bool known = entry->watched != 0 || !list_empty(&entry->waits);
	reset(entry);
	wake(entry, 0, -EBADF);
	if (known)
		loop->backend->unwatch(loop, fd);
}

void fd_ready(struct lsc_loop *loop, uint64_t token, uint32_t events)
{
	struct fd_entry *entry = find(&loop->fds, (int)(uint32_t)token);

	if (!entry || entry->generation != token >> 32)
		return;
	if (events & POLLNVAL) {
		reset(entry);
		wake(entry, 0, -EBADF);
		return;
	}
	if (events & (POLLRDHUP | POLLHUP | POLLERR | POLLPRI))
		entry->ended = true;
	entry->empty = false;
	wake(entry, events, 0);
}

static int watch(struct lsc_loop *loop, int fd, struct fd_entry *entry, uint32_t events)
{
	int r = loop->backend->watch(loop, fd, events, token_of(entry, fd));

	if (r == 0)
		entry->watched = events;
	return r;
}

/* A wait that may be in vain: of a watch that is gone, or of a file that nobody else can reach. */
static void recheck_later(struct lsc_loop *loop, struct fd_entry *entry)
{
	entry->parked = loop->fds.round;
	if (list_empty(&entry->unsure))
		list_append(&loop->fds.unsure, &entry->unsure);
	if (!timer_is_set(&loop->fds.recheck)) {
		loop->fds.recheck.due_ns = lsc_now_ns() + RECHECK_NS;
		timer_add(&loop->timers, &loop->fds.recheck);
	}
}

/* ---- of a proactor ---- */

static void polled(struct backend_op *op, int result)
{
	struct fd_wait *w = container_of(op, struct fd_wait, op);

	w->submitted = false;
	list_remove(&w->link);
	w->wake(w, result >= 0 && (result & POLLNVAL) ? -EBADF : result);
}

static int begin_poll(struct lsc_loop *loop, int fd, struct fd_entry *entry, struct fd_wait *wait)
{
	int r = fd_learn_kind(entry, fd);

	if (r == 0 && entry->kind == FD_FILE) {
		entry->kind = FD_UNKNOWN; /* the number may be another one's by now */
		r = fd_learn_kind(entry, fd);
		if (r == 0 && entry->kind == FD_FILE)
			r = -EPERM; /* as epoll_ctl(2) says */
	}
	if (r < 0)
		return r;
	wait->loop = loop;
	wait->op = (struct backend_op){
		.code = BACKEND_POLL, .fd = fd, .flags = wait->events, .done = polled};
	r = loop->backend->submit(loop, &wait->op);
	if (r < 0)
		return r;
	wait->submitted = true;
	list_append(&entry->waits, &wait->link);
	recheck_later(loop, entry);
	return 0;
}

void fd_wait_end(struct fd_wait *wait)
{
	list_remove(&wait->link);
	if (wait->submitted)
		wait->loop->backend->forget(wait->loop, &wait->op);
	wait->submitted = false;
}

/* ---- of either ---- */

int fd_wait_begin(struct lsc_loop *loop, int fd, struct fd_entry *entry, struct fd_wait *wait)
{
	if (loop->backend->submit || (entry->watched & wait->events) != wait->events)
		return fd_wait_level(loop, fd, entry, wait);
	list_append(&entry->waits, &wait->link);
	recheck_later(loop, entry);
	return 0;
}

int fd_wait_level(struct lsc_loop *loop, int fd, struct fd_entry *entry, struct fd_wait *wait)
{
	if (loop->backend->submit)
		return begin_poll(loop, fd, entry, wait);
	int r = watch(loop, fd, entry, entry->watched | wait->events);

	if (r == 0)
		list_append(&entry->waits, &wait->link);
	return r;
}

/* ---- waits that may be in vain ---- */

static int check(struct lsc_loop *loop, struct fd_entry *entry)
{
	if (loop->backend->submit)
		return fcntl(entry->fd, F_GETFD) < 0 ? -EBADF : 0;
	return watch(loop, entry->fd, entry, entry->watched);
}

static void recheck(struct job *job)
{
	struct lsc_loop *loop = container_of(job, struct lsc_loop, fds.recheck.job);
	struct fd_table *table = &loop->fds;

	table->recheck.queued = false;
	for (struct list *l = table->unsure.next, *next; l != &table->unsure; l = next) {
		struct fd_entry *entry = container_of(l, struct fd_entry, unsure);
		bool waits = !list_empty(&entry->waits);

		next = l->next;
		if (waits && entry->parked == table->round)
			continue; /* it has not waited for long */
		list_remove(l);
		int r = waits ? check(loop, entry) : 0;
		if (r < 0) {
			reset(entry);
			wake(entry, 0, r);
		}
	}
	table->round++;
	if (!list_empty(&table->unsure) && !timer_is_set(&table->recheck)) {
		table->recheck.due_ns = lsc_now_ns() + RECHECK_NS;
		timer_add(&loop->timers, &table->recheck);
	}
}

/* ---- tasks that wait ---- */

struct parked {
	struct park park;
	struct fd_wait wait;
};

static void unpark(struct fd_wait *wait, int result)
{
	task_unpark(&container_of(wait, struct parked, wait)->park, result);
}

static bool stop_waiting(struct park *park)
{
	fd_wait_end(&container_of(park, struct parked, park)->wait);
	return true;
}

static int park_task(struct task *task, int fd, struct parked *p)
{
	return task_park(task, &p->park, LSC_WAIT_FD,
			 (uint32_t)fd | (uint64_t)p->wait.events << 32);
}

/* A descriptor that was closed after it became ready, and before the task ran, may be another one
 * by now. */
static int park(struct task *task, struct fd_entry *entry, struct parked *p)
{
	uint32_t generation = entry->generation;
	int r = park_task(task, entry->fd, p);

	return r >= 0 && entry->generation != generation ? -EBADF : r;
}

int fd_park(struct lsc_loop *loop, int fd, struct fd_entry *entry, uint32_t events)
{
	struct parked p = {.park.cancel = stop_waiting, .wait = {.events = events, .wake = unpark}};
	int r = fd_wait_begin(loop, fd, entry, &p.wait);

	return r < 0 ? r : park(loop->current, entry, &p);
}

int fd_park_level(struct lsc_loop *loop, int fd, struct fd_entry *entry, uint32_t events)
{
	struct parked p = {.park.cancel = stop_waiting, .wait = {.events = events, .wake = unpark}};
	int r = fd_wait_level(loop, fd, entry, &p.wait);

	return r < 0 ? r : park(loop->current, entry, &p);
}

static void transferred(struct backend_op *op, int result)
{
	struct fd_wait *w = container_of(op, struct fd_wait, op);

	w->submitted = false;
	list_remove(&w->link);
	unpark(w, w->closed != 0 ? w->closed : result);
}

/* The buffer is the kernel's until it has answered. */
static bool stop_transfer(struct park *park)
{
	struct fd_wait *w = &container_of(park, struct parked, park)->wait;

	w->loop->backend->cancel(w->loop, &w->op);
	return false;
}

int fd_transfer(struct lsc_loop *loop, struct fd_entry *entry, const struct backend_op *op)
{
	struct parked p = {
		.park.cancel = stop_transfer,
		.wait = {.events = op->code == BACKEND_WRITE ? POLLOUT : POLLIN,
			 .loop = loop,
			 .op = *op,
			 .submitted = true},
	};
	struct task *task = loop->current;

	list_init(&p.wait.link);
	p.wait.op.done = transferred;
	int r = loop->backend->submit(loop, &p.wait.op);
	if (r < 0)
		return r;
	if (entry) {
		list_append(&entry->waits, &p.wait.link);
		recheck_later(loop, entry);
		r = park_task(task, op->fd, &p);
	} else {
		r = task_park(task, &p.park, LSC_WAIT_THREAD, 0);
	}
	if (r != -ECANCELED || p.park.result == -ECANCELED)
		return r;
	task_recancel(task);
	return p.park.result;
}

int lsc_wait_fd(int fd, uint32_t events)
{
	struct task *task = task_current();
	struct fd_entry *entry;

	if (!task)
		return -EPERM;
	if (fd < 0)
		return -EBADF;
	if ((events & (POLLIN | POLLOUT)) == 0 || (events & ~(uint32_t)(POLLIN | POLLOUT)) != 0)
		return -EINVAL;
	int r = fd_entry_get(task->future.loop, fd, &entry);
	return r < 0 ? r : fd_park_level(task->future.loop, fd, entry, events);
}

int lsc_close(int fd)
{
	struct lsc_loop *loop = lsc_loop_current();

	if (loop)
		fd_forget(loop, fd);
	return close(fd) < 0 ? -errno : 0;
}

void fd_was_read(struct fd_entry *entry, int fd, size_t n, size_t size)
{
	entry->empty = false;
	if (n >= size || n == 0 || entry->ended)
		return;
	if (!entry->protocol_known) {
		int protocol = 0;
		socklen_t length = sizeof(protocol);

		entry->protocol_known = true;
		entry->is_tcp = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
				protocol == IPPROTO_TCP;
	}
	entry->empty = entry->is_tcp;
}
