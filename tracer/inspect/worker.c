/* SPDX-License-Identifier: MIT */
/* The worker's loop: tables from the broker, jobs from the collector, one answer each. */
#include "inspect/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/cpython.h"
#include "inspect/find.h"
#include "inspect/handlelist.h"
#include "inspect/message.h"
#include "inspect/sandbox.h"
#include "inspect/space.h"
#include "inspect/stackcopy.h"
#include "inspect/tasklist.h"
#include "inspect/unwind.h"
#include "inspect/version.h"

struct worker {
	int collector, broker;
	Elf *vdso; /* the kernel's ELF file: libdwfl learns from it what machine this is */
	struct space *slots[MESSAGE_SLOTS];
	struct space *building; /* the target whose maps arrive */
	uint32_t building_slot;
	int building_status;
	bool indexed; /* since the last job */
	union {
		struct message_job job;
		uint8_t bytes[MESSAGE_MAX];
	} in;
	uint8_t out[MESSAGE_MAX];
};

_Static_assert(sizeof(struct message_job) + INSPECTOR_STACK_MAX + sizeof(struct inspector_chain) <=
		       MESSAGE_MAX,
	       "a job is one message");

static int find_vdso(struct worker *w)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);

	if (!e)
		return -ENOENT;
	elf_version(EV_CURRENT);
	w->vdso = elf_memory((char *)e, e->e_shoff + (size_t)e->e_shnum * e->e_shentsize);
	return w->vdso ? 0 : -EIO;
}

static int tell(struct worker *w, enum message_kind kind, int value)
{
	struct message_status m = {.kind = kind, .value = value};

	return message_send(w->collector, &m, sizeof(m), NULL, 0, NULL, 0, 0);
}

static void tell_phase(enum message_phase phase, void *arg)
{
	tell(arg, MESSAGE_PHASE, (int)phase); /* a lost collector shows at the next receive */
}

static int begin_target(struct worker *w, const struct message_open *m, int mem)
{
	w->building = space_free(w->building);
	if (m->slot >= MESSAGE_SLOTS) {
		lsc_closep(&mem);
		return -EBADMSG;
	}
	w->building_slot = m->slot;
	w->building = space_new(mem, w->broker, m);
	w->building_status = w->building ? 0 : -ENOMEM;
	return 0;
}

static void add_map(struct worker *w, const struct message_map *m, const char *path, size_t len)
{
	if (w->building && w->building_status == 0)
		w->building_status = space_add(w->building, m, path, len);
}

static int end_target(struct worker *w, int status)
{
	struct space **slot = &w->slots[w->building_slot];

	if (status == 0)
		status = w->building_status;
	if (status == 0 && *slot && space_refresh(*slot, w->building)) {
		status = MESSAGE_TABLE_KEPT;
	} else if (status == 0) {
		status = space_seal(w->building, w->vdso);
		space_free(*slot);
		*slot = status == 0 ? w->building : space_free(w->building);
		w->building = NULL;
	}
	w->building = space_free(w->building);
	return tell(w, MESSAGE_TABLE, status);
}

static int serve_broker(struct worker *w)
{
	union {
		uint32_t kind;
		struct message_open open;
		struct message_status status;
		struct message_map map;
		char bytes[sizeof(struct message_map) + MESSAGE_TEXT_MAX];
	} m;
	int fd;
	ssize_t n = message_recv(w->broker, &m, sizeof(m), &fd, 1, 0);

	if (n == sizeof(m.open) && m.kind == MESSAGE_TARGET)
		return begin_target(w, &m.open, fd);
	if (n >= (ssize_t)sizeof(m.map) && m.kind == MESSAGE_MAP) {
		lsc_closep(&fd);
		add_map(w, &m.map, m.bytes + sizeof(m.map), (size_t)n - sizeof(m.map));
		return 0;
	}
	lsc_closep(&fd);
	if (n == sizeof(m.status) && m.kind == MESSAGE_MAPS_END)
		return end_target(w, m.status.value);
	return -EPIPE;
}

/* Says what the job lacked. */
static int tell_want(struct worker *w, const struct space *s)
{
	const struct space_file *f = &s->files[s->want.file];
	struct message_want m = {
		.kind = MESSAGE_WANT, .noffsets = s->want.noffsets, .file = f->piece};

	memcpy(m.offsets, s->want.offsets, m.noffsets * sizeof(m.offsets[0]));
	return message_send(w->collector, &m, sizeof(m), f->path,
			    strnlen(f->path, MESSAGE_TEXT_MAX - 1), NULL, 0, 0);
}

static size_t run_job(struct worker *w, const struct message_job *job, struct space *s,
		      const uint8_t *data)
{
	switch (job->kind) {
	case MESSAGE_JOB:
		return unwind_run(s, job, data, tell_phase, w, w->out);
	case MESSAGE_FIND:
		return find_run(s, job, (const char *)data, tell_phase, w, w->out);
	case MESSAGE_CPYTHON:
		return cpython_run(s, job, tell_phase, w, w->out);
	case MESSAGE_TASKS:
		return tasklist_run(s, job, w->collector, tell_phase, w, w->out);
	case MESSAGE_VERSION:
		return version_run(s, job, (const char *)data, tell_phase, w, w->out);
	case MESSAGE_COPY:
		return stackcopy_run(s, job, w->collector, w->out);
	case MESSAGE_HANDLES:
		return handlelist_run(s, job, data, w->collector, tell_phase, w, w->out);
	}
	return 0;
}

static int serve_job(struct worker *w, size_t n)
{
	const struct message_job *job = &w->in.job;
	int r = 0;

	if (n < sizeof(*job) || job->slot >= MESSAGE_SLOTS ||
	    n != sizeof(*job) + job->size + (job->chain ? sizeof(struct inspector_chain) : 0))
		return -EPIPE;
	struct space *s = w->slots[job->slot];
	if (w->indexed) /* from here on memory is read */
		tell_phase(MESSAGE_PHASE_UNWIND, w);
	w->indexed = false;
	if (s)
		space_begin(s, job->make_do);
	size_t size = run_job(w, job, s, w->in.bytes + sizeof(*job));
	if (!size)
		return -EPIPE;
	if (s && space_wants(s))
		r = tell_want(w, s);
	return r < 0 ? r : message_send(w->collector, w->out, size, NULL, 0, NULL, 0, 0);
}

/* An index, for a target that may have been given up since. Takes fd. */
static int serve_index(struct worker *w, size_t n, int fd)
{
	struct message_index m;

	w->indexed = true;
	if (index_message_read(w->in.bytes, n, &m) < 0 || m.slot >= MESSAGE_SLOTS ||
	    !w->slots[m.slot])
		lsc_closep(&fd);
	else
		space_take_index(w->slots[m.slot], &m, w->in.bytes, fd);
	return 0;
}

static int serve_collector(struct worker *w)
{
	int fd;
	ssize_t n = message_recv(w->collector, &w->in, sizeof(w->in), &fd, 1, 0);

	if (n >= (ssize_t)sizeof(struct message_index) && w->in.job.kind == MESSAGE_INDEX)
		return serve_index(w, (size_t)n, fd);
	lsc_closep(&fd);
	return n < 0 ? -EPIPE : serve_job(w, (size_t)n);
}

void worker_run(pid_t parent, int collector, int broker)
{
	static struct worker w;
	struct pollfd p[2] = {{.fd = broker, .events = POLLIN},
			      {.fd = collector, .events = POLLIN}};

	w.collector = collector;
	w.broker = broker;
	int r = find_vdso(&w);
	if (r == 0)
		r = sandbox_worker(parent);
	if (tell(&w, MESSAGE_HELLO, r) < 0 || r < 0)
		return;
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents && serve_broker(&w) < 0)
			return;
		if (p[1].revents && serve_collector(&w) < 0)
			return;
	}
}
