/* SPDX-License-Identifier: MIT */
/* Packets with descriptors, and the collector's check of what a worker answers. */
#include "inspect/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FDS_MAX 2

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
};

int message_send(int fd, const void *head, size_t head_size, const void *tail, size_t tail_size,
		 const int *fds, size_t nfds, int flags)
{
	struct iovec iov[2] = {{(void *)head, head_size}, {(void *)tail, tail_size}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = tail_size ? 2 : 1};
	union control control = {0};
	ssize_t n;

	if (nfds > FDS_MAX)
		return -EINVAL;
	if (nfds) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

bool message_is_build_id(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return size > 2;
}

/* Takes the descriptors out of m; what does not fit into fds is closed. */
static void collect_fds(struct msghdr *m, int *fds, size_t nfds)
{
	size_t have = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (have < nfds)
				fds[have++] = fd;
			else
				close(fd);
		}
	}
}

ssize_t message_recv(int fd, void *buf, size_t size, int *ret_fds, size_t nfds, int flags)
{
	struct iovec iov = {buf, size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (nfds > FDS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < nfds; i++)
		ret_fds[i] = -1;
	if (nfds) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
	}
	do
		n = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (nfds)
		collect_fds(&m, ret_fds, nfds);
	if (m.msg_flags & MSG_TRUNC) {
		for (size_t i = 0; i < nfds; i++) {
			lsc_closep(&ret_fds[i]);
			ret_fds[i] = -1;
		}
		return -EMSGSIZE;
	}
	return n;
}

static const char *text_at(const char *text, uint32_t offset)
{
	return text[offset] ? text + offset : NULL;
}

const char *message_text(const void *buf, size_t size, const struct message_result *r,
			 uint32_t offset)
{
	return text_at((const char *)buf + size - r->text_size, offset);
}

static bool place_fits(const struct inspector_place *p)
{
	uint32_t fields[(sizeof(*p) - offsetof(struct inspector_place, state_cframe)) /
			sizeof(uint32_t)];

	if (p->tasks % sizeof(p->tasks))
		return false;
	memcpy(fields, &p->state_cframe, sizeof(fields));
	for (size_t i = 0; i < LSC_ARRAY_LEN(fields); i++)
		if (fields[i] >= INSPECTOR_PLACE_REACH)
			return false;
	return true;
}

static bool task_fits(const struct message_result *r)
{
	const struct message_task *t = &r->task;

	return t->name < r->text_size && t->function < r->text_size && t->file < r->text_size &&
	       t->line >= 0;
}

/* The lock lies within what was found: what reads there later can rely on no more. */
static bool gil_fits(const struct message_result *r)
{
	const struct inspector_gil *g = &r->gil;

	if (!g->holder)
		return true;
	return g->holder >= r->address && r->size >= INSPECTOR_GIL_BYTES &&
	       g->holder - r->address <= r->size - INSPECTOR_GIL_BYTES && g->holder % 8 == 0 &&
	       g->id_offset < INSPECTOR_GIL_REACH && g->id_hop < INSPECTOR_GIL_REACH;
}

int message_result_read(const void *buf, size_t size, struct message_result *ret,
			struct inspector_frame *ret_frames)
{
	struct message_result r;
	const char *at = buf;

	if (size < sizeof(r))
		return -EBADMSG;
	memcpy(&r, at, sizeof(r));
	if (r.kind != MESSAGE_RESULT || r.nframes > INSPECTOR_FRAMES_MAX ||
	    r.why >= MESSAGE_WHY_COUNT || r.language >= MESSAGE_WHY_COUNT ||
	    r.debug >= MESSAGE_WHY_COUNT || r.jit >= MESSAGE_WHY_COUNT ||
	    r.address + r.size < r.address || !gil_fits(&r) || r.text_size == 0 ||
	    r.text_size > MESSAGE_MAX || !task_fits(&r) || !place_fits(&r.place) ||
	    size != sizeof(r) + r.nframes * sizeof(struct message_frame) + r.text_size)
		return -EBADMSG;
	const char *text = at + size - r.text_size;
	if (text[0] || text[r.text_size - 1])
		return -EBADMSG;

	at += sizeof(r);
	for (uint32_t i = 0; i < r.nframes; i++, at += sizeof(struct message_frame)) {
		struct message_frame f;
		memcpy(&f, at, sizeof(f));
		if (f.function >= r.text_size || f.file >= r.text_size || f.module >= r.text_size ||
		    f.build_id >= r.text_size || f.near >= r.text_size || f.line < 0)
			return -EBADMSG;
		ret_frames[i] = (struct inspector_frame){
			.function = text_at(text, f.function),
			.file = text_at(text, f.file),
			.line = f.line,
			.module = text_at(text, f.module),
			.build_id = text_at(text, f.build_id),
			.offset = f.offset,
			.entry = f.entry,
			.sp = f.sp,
			.near = text_at(text, f.near),
			.exported = f.flags & MESSAGE_FRAME_EXPORTED,
			.inlined = f.flags & MESSAGE_FRAME_INLINED,
			.python = f.flags & MESSAGE_FRAME_PYTHON,
			.js = f.flags & MESSAGE_FRAME_JS,
		};
	}
	*ret = r;
	return 0;
}

static bool page_task_fits(const struct message_page_task *t, const struct message_page *p)
{
	return t->name < p->text_size && t->waits < p->text_size && t->tid >= 0 &&
	       t->state < INSPECTOR_PYTASK_STATES;
}

int message_page_read(const void *buf, size_t size, uint64_t cookie, struct message_page_room *room,
		      size_t *ret_ntasks)
{
	struct message_page p;
	const char *at = buf;
	size_t frame = 0, link = 0;

	if (size < sizeof(p))
		return -EBADMSG;
	memcpy(&p, at, sizeof(p));
	at += sizeof(p);
	if (p.kind != MESSAGE_TASK_PAGE || p.cookie != cookie || p.ntasks > PAGE_TASKS ||
	    p.nframes > PAGE_FRAMES || p.nlinks > PAGE_LINKS || p.text_size == 0 ||
	    p.text_size > PAGE_TEXT ||
	    size != sizeof(p) + p.ntasks * sizeof(struct message_page_task) +
			    p.nframes * sizeof(struct message_page_frame) +
			    p.nlinks * sizeof(uint64_t) + p.text_size)
		return -EBADMSG;
	const char *text = (const char *)buf + size - p.text_size;
	if (text[0] || text[p.text_size - 1])
		return -EBADMSG;
	for (uint32_t i = 0; i < p.ntasks; i++, at += sizeof(struct message_page_task)) {
		struct message_page_task t;
		memcpy(&t, at, sizeof(t));
		if (!page_task_fits(&t, &p) || t.nframes > p.nframes - frame ||
		    t.nlinks > p.nlinks - link)
			return -EBADMSG;
		room->tasks[i] = (struct inspector_pytask){
			.address = t.address,
			.loop = t.loop,
			.waiter = t.waiter,
			.group = t.group,
			.name = text_at(text, t.name),
			.waits = text_at(text, t.waits),
			.tid = t.tid,
			.state = (enum inspector_pytask_state)t.state,
			.frames = room->frames + frame,
			.nframes = t.nframes,
			.cut = t.cut,
			.wakes = room->links + link,
			.nwakes = t.nlinks,
		};
		frame += t.nframes;
		link += t.nlinks;
	}
	if (frame != p.nframes || link != p.nlinks)
		return -EBADMSG;
	for (uint32_t i = 0; i < p.nframes; i++, at += sizeof(struct message_page_frame)) {
		struct message_page_frame f;
		memcpy(&f, at, sizeof(f));
		if (f.function >= p.text_size || f.file >= p.text_size || f.line < 0)
			return -EBADMSG;
		room->frames[i] = (struct inspector_task_frame){text_at(text, f.function),
								text_at(text, f.file), f.line};
	}
	memcpy(room->links, at, p.nlinks * sizeof(uint64_t));
	*ret_ntasks = p.ntasks;
	return 0;
}

int message_copy_read(const void *buf, size_t size, uint64_t cookie, const void **ret,
		      size_t *ret_size)
{
	struct message_copy m;

	if (size < sizeof(m))
		return -EBADMSG;
	memcpy(&m, buf, sizeof(m));
	if (m.kind != MESSAGE_STACK || m.cookie != cookie || !m.size ||
	    m.size > INSPECTOR_STACK_MAX || size != sizeof(m) + m.size)
		return -EBADMSG;
	*ret = (const char *)buf + sizeof(m);
	*ret_size = m.size;
	return 0;
}

int message_handles_read(const void *buf, size_t size, uint64_t cookie,
			 struct inspector_handle *ret, size_t *ret_n, size_t *ret_omitted)
{
	struct message_handle_list l;
	const char *at = buf;

	if (size < sizeof(l))
		return -EBADMSG;
	memcpy(&l, at, sizeof(l));
	at += sizeof(l);
	if (l.kind != MESSAGE_HANDLE_LIST || l.cookie != cookie || l.n > INSPECTOR_HANDLES_MAX ||
	    l.text_size == 0 || l.text_size > HANDLES_TEXT ||
	    size != sizeof(l) + l.n * sizeof(struct message_handle) + l.text_size)
		return -EBADMSG;
	const char *text = (const char *)buf + size - l.text_size;
	if (text[0] || text[l.text_size - 1])
		return -EBADMSG;
	for (uint32_t i = 0; i < l.n; i++, at += sizeof(struct message_handle)) {
		struct message_handle h;
		memcpy(&h, at, sizeof(h));
		if (h.kind == 0 || h.kind >= INSPECTOR_HANDLE_KINDS || h.callback >= l.text_size ||
		    h.fd < -1)
			return -EBADMSG;
		ret[i] = (struct inspector_handle){
			.kind = (enum inspector_handle_kind)h.kind,
			.active = h.flags & MESSAGE_HANDLE_ACTIVE,
			.referenced = h.flags & MESSAGE_HANDLE_REFERENCED,
			.closing = h.flags & MESSAGE_HANDLE_CLOSING,
			.fd = h.fd,
			.number = h.number,
			.timeout_ms = h.timeout_ms,
			.repeat_ms = h.repeat_ms,
			.callback = text_at(text, h.callback),
		};
	}
	*ret_n = l.n;
	*ret_omitted = l.omitted;
	return 0;
}
