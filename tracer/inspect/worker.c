/* SPDX-License-Identifier: MIT */
/* The worker's loop: tables from the broker, jobs from the collector, one answer each. */
#include "inspect/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/cpython.h"
#include "inspect/find.h"
#include "inspect/handlelist.h"
#include "inspect/message.h"
#include "inspect/sandbox.h"
#include "inspect/space.h"
#include "inspect/tasklist.h"
#include "inspect/unwind.h"
#include "inspect/version.h"

struct worker {
	int collector, broker;
	int vdso; /* memfd; a copy of the kernel's ELF file, the same for all processes */
	Elf *vdso_elf;
	struct space *slots[MESSAGE_SLOTS];
	struct space *building; /* the target whose maps arrive */
	uint32_t building_slot;
	int building_status;
	union {
		struct message_job job;
		uint8_t bytes[sizeof(struct message_job) + INSPECTOR_STACK_MAX +
			      sizeof(struct inspector_chain)];
	} in;
	uint8_t out[MESSAGE_MAX];
};

/* Copies our own vDSO, before the sandbox forbids memfd_create. */
static int copy_vdso(struct worker *w)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);

	if (!e)
		return -ENOENT;
	size_t size = e->e_shoff + (size_t)e->e_shnum * e->e_shentsize;
	w->vdso = memfd_create("vdso", MFD_CLOEXEC);
	if (w->vdso < 0)
		return -errno;
	ssize_t n = write(w->vdso, e, size);
	if (n < 0 || (size_t)n != size)
		return n < 0 ? -errno : -EIO;
	elf_version(EV_CURRENT);
	w->vdso_elf = elf_begin(w->vdso, ELF_C_READ, NULL);
	return w->vdso_elf ? 0 : -EIO;
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

static void add_map(struct worker *w, const struct message_map *m, const char *path, size_t len,
		    int fd)
{
	if (m->flags & MESSAGE_MAP_VDSO && fd < 0)
		fd = dup(w->vdso);
	if (!w->building)
		lsc_closep(&fd);
	else if (w->building_status == 0)
		w->building_status = space_add(w->building, m, path, len, fd);
	else
		lsc_closep(&fd);
}

static int end_target(struct worker *w, int status)
{
	struct space **slot = &w->slots[w->building_slot];

	if (status == 0)
		status = w->building_status;
	if (status == 0 && *slot && space_refresh(*slot, w->building)) {
		w->building = space_free(w->building);
	} else if (status == 0) {
		status = space_seal(w->building, w->vdso_elf);
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
		add_map(w, &m.map, m.bytes + sizeof(m.map), (size_t)n - sizeof(m.map), fd);
		return 0;
	}
	lsc_closep(&fd);
	if (n == sizeof(m.status) && m.kind == MESSAGE_MAPS_END)
		return end_target(w, m.status.value);
	return -EPIPE;
}

static int serve_collector(struct worker *w)
{
	ssize_t n = message_recv(w->collector, &w->in, sizeof(w->in), NULL, 0, 0);
	const struct message_job *job = &w->in.job;

	const uint8_t *data = w->in.bytes + sizeof(*job);
	size_t size;

	if (n < (ssize_t)sizeof(*job) || job->slot >= MESSAGE_SLOTS ||
	    (size_t)n !=
		    sizeof(*job) + job->size + (job->chain ? sizeof(struct inspector_chain) : 0))
		return -EPIPE;
	if (job->kind == MESSAGE_JOB)
		size = unwind_run(w->slots[job->slot], job, data, tell_phase, w, w->out);
	else if (job->kind == MESSAGE_FIND)
		size = find_run(w->slots[job->slot], job, (const char *)data, tell_phase, w,
				w->out);
	else if (job->kind == MESSAGE_CPYTHON)
		size = cpython_run(w->slots[job->slot], job, tell_phase, w, w->out);
	else if (job->kind == MESSAGE_TASKS)
		size = tasklist_run(w->slots[job->slot], job, w->collector, tell_phase, w, w->out);
	else if (job->kind == MESSAGE_VERSION)
		size = version_run(w->slots[job->slot], job, (const char *)data, tell_phase, w,
				   w->out);
	else if (job->kind == MESSAGE_HANDLES)
		size = handlelist_run(w->slots[job->slot], job, data, w->collector, tell_phase, w,
				      w->out);
	else
		return -EPIPE;
	return message_send(w->collector, w->out, size, NULL, 0, NULL, 0, 0);
}

void worker_run(pid_t parent, int collector, int broker)
{
	static struct worker w;
	struct pollfd p[2] = {{.fd = broker, .events = POLLIN},
			      {.fd = collector, .events = POLLIN}};

	w.collector = collector;
	w.broker = broker;
	int r = copy_vdso(&w);
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
