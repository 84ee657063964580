/* SPDX-License-Identifier: MIT */
/*
 * Waits for descriptors. A watch stays from one wait to the next, and whoever closes a descriptor
 * tells the table (lsc_close()). One that was closed behind its back would be waited for in vain:
 * that is found out within twice RECHECK_NS. Where a watch holds the file open, it ends when nobody
 * waits for the file and the loop idles, or has turned BUSY_TURNS times since: what nobody waits
 * for can be closed by anybody.
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
#include "hot.h"
#include "loop.h"
#include "loopscope/fd.h"
#include "loopscope/io.h"
#include "task.h"

/* How long a wait may be in vain, and half of how long it is: an idle descriptor is asked about
 * once. */
#define RECHECK_NS (50 * LSC_NS_PER_MS)

/* In so many ticks all that was ready has run, unless the loop is saturated. */
#define BUSY_TURNS 8

static void recheck(struct job *job);

static const struct job_ops recheck_job = {.run = recheck};

void fd_table_init(struct fd_table *table)
{
	list_init(&table->unsure);
	list_init(&table->woken);
	table->recheck.job.ops = &recheck_job;
}

void fd_table_done(struct fd_table *table)
{
	for (size_t i = 0; i < table->room; i++)
		free(table->entries[i]);
	free(table->entries);
	*table = (struct fd_table){0};
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
	list_init(&entry->woken);
	entry->watch.fd = fd;
	table->entries[fd] = entry;
	*ret = entry;
	return 0;
}

int fd_entry_get(struct lsc_loop *loop, int fd, struct fd_entry **ret)
{
	*ret = fd_entry_find(&loop->fds, fd);
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

/* What was known is of a descriptor that is no more. */
static void reset(struct lsc_loop *loop, struct fd_entry *entry)
{
	loop->backend->unwatch(loop, &entry->watch);
	entry->generation++;
	entry->kind = FD_UNKNOWN;
	entry->is_tcp = entry->protocol_known = entry->empty = entry->ended = false;
}

static inline bool is_met(const struct fd_wait *w, uint32_t events, int error)
{
	return error != 0 || (events & (w->events | POLLERR | POLLHUP)) != 0;
}

static inline void end(struct fd_wait *w, uint32_t events, int error)
{
	uint32_t met = events & (w->events | POLLERR | POLLHUP);

	list_remove(&w->link);
	w->wake(w, error != 0 ? error : (int)met);
}

/* Several waits: a wake may end others, and begin new ones, which are not of this round. */
static void end_several(struct list *waits, uint32_t events, int error)
{
	struct list ending;

	list_init(&ending);
	for (struct list *l = waits->next, *next; l != waits; l = next) {
		next = l->next;
		if (!is_met(container_of(l, struct fd_wait, link), events, error))
			continue;
		list_remove(l);
		list_append(&ending, l);
	}
	while (!list_empty(&ending))
		end(container_of(ending.next, struct fd_wait, link), events, error);
}

/* Ends the waits that events or error end; the others stay. */
static LSC_HOT void wake(struct fd_entry *entry, uint32_t events, int error)
{
	struct list *first = entry->waits.next;

	if (first == &entry->waits)
		return;
	if (first->next != &entry->waits)
		end_several(&entry->waits, events, error);
	else if (is_met(container_of(first, struct fd_wait, link), events, error))
		end(container_of(first, struct fd_wait, link), events, error);
}

void fd_is_new(struct lsc_loop *loop, int fd)
{
	struct fd_entry *entry = fd_entry_find(&loop->fds, fd);

	if (!entry)
		return;
	reset(loop, entry);
	wake(entry, 0, -EBADF); /* it was closed under them */
}

void fd_forget(struct lsc_loop *loop, int fd)
{
	struct fd_entry *entry = fd_entry_find(&loop->fds, fd);

	if (!entry)
		return;
	bool known = entry->watch.events != 0 || !list_empty(&entry->waits);
	reset(loop, entry);
	wake(entry, 0, -EBADF);
	if (known && loop->backend->flush)
		loop->backend->flush(loop);
}

/* A wait that may be in vain: of a watch that is gone, or of a file that nobody else can reach. */
static LSC_HOT void recheck_later(struct lsc_loop *loop, struct fd_entry *entry)
{
	entry->parked = loop->fds.round;
	if (list_empty(&entry->unsure))
		list_append(&loop->fds.unsure, &entry->unsure);
	if (!timer_is_set(&loop->fds.recheck)) {
		loop->fds.recheck.due_ns = lsc_now_ns() + RECHECK_NS;
		timer_add(&loop->timers, &loop->fds.recheck);
	}
}

/* A wait has ended: whether another follows is seen later. */
static inline void was_woken(struct lsc_loop *loop, struct fd_entry *entry)
{
	if (!loop->backend->holds_files || !list_empty(&entry->woken))
		return;
	entry->woken_turn = loop->fds.turn;
	list_append(&loop->fds.woken, &entry->woken);
}

LSC_HOT void fd_let_go(struct lsc_loop *loop, bool idle)
{
	uint32_t turn = ++loop->fds.turn;

	while (!list_empty(&loop->fds.woken)) {
		struct fd_entry *entry = container_of(loop->fds.woken.next, struct fd_entry, woken);

		if (!idle && turn - entry->woken_turn < BUSY_TURNS)
			return; /* who was woken may not have run yet */
		list_remove(&entry->woken);
		if (list_empty(&entry->waits))
			loop->backend->unwatch(loop, &entry->watch);
	}
}

static inline struct fd_entry *entry_of(struct lsc_loop *loop, uint64_t token)
{
	struct fd_entry *entry = fd_entry_find(&loop->fds, (int)(uint32_t)token);

	return entry && entry->generation == token >> 32 ? entry : NULL;
}

LSC_HOT void fd_ready(struct lsc_loop *loop, uint64_t token, uint32_t events)
{
	struct fd_entry *entry = entry_of(loop, token);

	if (!entry)
		return;
	if (events & POLLNVAL) {
		reset(loop, entry);
		wake(entry, 0, -EBADF);
		return;
	}
	if (events & (POLLRDHUP | POLLHUP | POLLERR | POLLPRI))
		entry->ended = true;
	entry->empty = false;
	was_woken(loop, entry);
	wake(entry, events, 0);
}

static int watch(struct lsc_loop *loop, struct fd_entry *entry, uint32_t events)
{
	entry->watch.token = (uint32_t)entry->watch.fd | (uint64_t)entry->generation << 32;
	return loop->backend->watch(loop, &entry->watch, events);
}

static uint32_t events_wanted(const struct fd_entry *entry)
{
	uint32_t events = 0;

	for (const struct list *l = entry->waits.next; l != &entry->waits; l = l->next)
		events |= container_of(l, struct fd_wait, link)->events;
	return events;
}

void fd_unwatched(struct lsc_loop *loop, uint64_t token, int error)
{
	struct fd_entry *entry = entry_of(loop, token);

	if (!entry || entry->watch.events != 0)
		return;
	uint32_t events = events_wanted(entry);
	if (error == 0 && events != 0)
		error = watch(loop, entry, events);
	if (error == 0)
		return;
	reset(loop, entry);
	wake(entry, 0, error);
}

void fd_wait_end(struct fd_wait *wait)
{
	if (list_empty(&wait->link))
		return;
	list_remove(&wait->link);
	was_woken(wait->loop, wait->entry);
}

static inline void add(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait)
{
	wait->loop = loop;
	wait->entry = entry;
	list_append(&entry->waits, &wait->link);
	list_remove(&entry->woken);
}

/* Where the watch does not cover its events. */
static int begin(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait)
{
	int r = watch(loop, entry, entry->watch.events | wait->events);

	if (r < 0)
		return r;
	add(loop, entry, wait);
	if (loop->backend->holds_files)
		recheck_later(loop, entry);
	return 0;
}

LSC_HOT int fd_wait_begin(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait)
{
	if ((entry->watch.events & wait->events) != wait->events)
		return begin(loop, entry, wait);
	add(loop, entry, wait);
	recheck_later(loop, entry);
	return 0;
}

/* io_uring calls a file always ready, which epoll_ctl(2) refuses to watch. */
static int refuse_file(struct fd_entry *entry, int fd)
{
	int r = fd_learn_kind(entry, fd);

	if (r == 0 && entry->kind == FD_FILE) {
		entry->kind = FD_UNKNOWN; /* the number may be another one's by now */
		r = fd_learn_kind(entry, fd);
	}
	return r == 0 && entry->kind == FD_FILE ? -EPERM : r;
}

int fd_wait_level(struct lsc_loop *loop, struct fd_entry *entry, struct fd_wait *wait)
{
	int r = loop->backend->submit ? refuse_file(entry, entry->watch.fd) : 0;

	return r < 0 ? r : begin(loop, entry, wait);
}

/* ---- waits that may be in vain ---- */

static int check(struct lsc_loop *loop, struct fd_entry *entry)
{
	return entry->watch.events == 0 ? 0 : watch(loop, entry, entry->watch.events);
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
			reset(loop, entry);
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

static LSC_HOT void unpark(struct fd_wait *wait, int result)
{
	task_unpark(&container_of(wait, struct parked, wait)->park, result);
}

static bool stop_waiting(struct park *park)
{
	fd_wait_end(&container_of(park, struct parked, park)->wait);
	return true;
}

static inline uint64_t waits_for(int fd, uint32_t events)
{
	return (uint32_t)fd | (uint64_t)events << 32;
}

/* A descriptor that was closed after it became ready, and before the task ran, may be another one
 * by now. */
static inline int park(struct task *task, struct fd_entry *entry, struct parked *p)
{
	uint32_t generation = entry->generation;
	int r = task_park(task, &p->park, LSC_WAIT_FD, waits_for(entry->watch.fd, p->wait.events));

	return r >= 0 && entry->generation != generation ? -EBADF : r;
}

static inline void prepare(struct parked *p, uint32_t events)
{
	p->park.cancel = stop_waiting;
	p->park.awaited = NULL;
	p->wait.events = events;
	p->wait.wake = unpark;
}

LSC_HOT int fd_park(struct lsc_loop *loop, struct fd_entry *entry, uint32_t events)
{
	struct parked p;

	prepare(&p, events);
	int r = fd_wait_begin(loop, entry, &p.wait);
	return r < 0 ? r : park(loop->current, entry, &p);
}

int fd_park_level(struct lsc_loop *loop, struct fd_entry *entry, uint32_t events)
{
	struct parked p;

	prepare(&p, events);
	int r = fd_wait_level(loop, entry, &p.wait);
	return r < 0 ? r : park(loop->current, entry, &p);
}

/* ---- operations of a proactor ---- */

struct transfer {
	struct park park;
	struct fd_wait wait; /* of no events: it ends when its descriptor is closed */
	struct backend_op op;
	struct lsc_loop *loop;
	int closed; /* what it ends with in place of op's result, or 0 */
};

static void transferred(struct backend_op *op, int result)
{
	struct transfer *t = container_of(op, struct transfer, op);

	list_remove(&t->wait.link);
	/* io_uring drops what it finds no worker for, as when signals interrupt the making of one.
	 */
	if (result == -ECANCELED && !t->park.asked)
		result = -EINTR;
	task_unpark(&t->park, t->closed != 0 ? t->closed : result);
}

/* The buffer is the kernel's until it has answered. */
static void break_off(struct fd_wait *wait, int result)
{
	struct transfer *t = container_of(wait, struct transfer, wait);

	t->closed = result;
	t->loop->backend->cancel(t->loop, &t->op);
}

static bool stop_transfer(struct park *park)
{
	struct transfer *t = container_of(park, struct transfer, park);

	t->loop->backend->cancel(t->loop, &t->op);
	return false;
}

int fd_transfer(struct lsc_loop *loop, struct fd_entry *entry, const struct backend_op *op)
{
	struct task *task = loop->current;
	struct transfer t = {
		.park.cancel = stop_transfer, .wait.wake = break_off, .op = *op, .loop = loop};
	uint32_t events = op->code == BACKEND_WRITE ? POLLOUT : POLLIN;

	list_init(&t.wait.link);
	t.op.done = transferred;
	int r = loop->backend->submit(loop, &t.op);
	if (r < 0)
		return r;
	if (entry)
		list_append(&entry->waits, &t.wait.link);
	r = task_park(task, &t.park, entry ? LSC_WAIT_FD : LSC_WAIT_THREAD,
		      entry ? waits_for(op->fd, events) : 0);
	if (r != -ECANCELED || t.park.result == -ECANCELED)
		return r;
	task_recancel(task);
	return t.park.result;
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
	return r < 0 ? r : fd_park_level(task->future.loop, entry, events);
}

int lsc_close(int fd)
{
	struct lsc_loop *loop = lsc_loop_current();

	if (loop)
		fd_forget(loop, fd);
	return close(fd) < 0 ? -errno : 0;
}

void fd_learn_protocol(struct fd_entry *entry, int fd)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	entry->protocol_known = true;
	entry->is_tcp = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
			protocol == IPPROTO_TCP;
}
