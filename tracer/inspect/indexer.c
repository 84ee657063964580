/* SPDX-License-Identifier: MIT */
/* An indexer's loop: one question at a time. Files whose lines may be asked for stay open: to open
 * one with much debug information takes tens of milliseconds. */
#include "inspect/indexer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/elffile.h"
#include "inspect/indexwriter.h"
#include "inspect/sandbox.h"
#include "inspect/srcline.h"

#define OPEN_MAX   4
#define OPEN_BYTES (256ull << 20) /* of all but the one that is asked about */

struct indexer {
	int collector, broker;
	int vdso; /* memfd; a copy of the kernel's ELF file, the same for all processes */
	struct elffile *open[OPEN_MAX]; /* owns; the one asked about last comes first */
	unsigned int nopen;
	union {
		struct message_file file;
		char bytes[sizeof(struct message_file) + MESSAGE_OFFSETS_MAX * sizeof(uint64_t) +
			   MESSAGE_TEXT_MAX];
	} in;
	struct {
		struct message_index head;
		struct index_line lines[MESSAGE_OFFSETS_MAX];
	} out;
	char text[INDEX_TEXT_MAX];
};

/* Copies our own vDSO, before the sandbox forbids memfd_create. */
static int copy_vdso(struct indexer *x)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);

	if (!e)
		return -ENOENT;
	size_t size = e->e_shoff + (size_t)e->e_shnum * e->e_shentsize;
	x->vdso = memfd_create("vdso", MFD_CLOEXEC);
	if (x->vdso < 0)
		return -errno;
	ssize_t n = write(x->vdso, e, size);
	if (n < 0 || (size_t)n != size)
		return n < 0 ? -errno : -EIO;
	elf_version(EV_CURRENT);
	return 0;
}

static int stamp_of(int fd, struct message_stamp *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct message_stamp){.dev = st.st_dev,
				      .inode = st.st_ino,
				      .size = (uint64_t)st.st_size,
				      .changed_ns = (uint64_t)st.st_ctim.tv_sec * LSC_NS_PER_S +
						    (uint64_t)st.st_ctim.tv_nsec};
	return 0;
}

static bool is_same(const struct message_stamp *a, const struct message_stamp *b)
{
	return a->dev == b->dev && a->inode == b->inode && a->size == b->size &&
	       a->changed_ns == b->changed_ns;
}

/* Nothing has come since that would say more of it. */
static bool is_current(const struct elffile *f, const struct message_stamp *stamp, uint32_t edition)
{
	return is_same(&f->stamp, stamp) && f->edition == edition;
}

static uint64_t bytes_of(const struct elffile *f)
{
	return f->stamp.size + f->spent;
}

static void close_at(struct indexer *x, unsigned int i)
{
	elffile_close(x->open[i]);
	memmove(x->open + i, x->open + i + 1, (--x->nopen - i) * sizeof(x->open[0]));
}

static void put_first(struct indexer *x, struct elffile *f)
{
	memmove(x->open + 1, x->open, x->nopen++ * sizeof(x->open[0]));
	x->open[0] = f;
}

/* It comes first, if it is open as it is now. */
static bool find_open(struct indexer *x, const struct message_stamp *stamp, uint32_t edition)
{
	for (unsigned int i = 0; i < x->nopen; i++) {
		struct elffile *f = x->open[i];
		if (is_current(f, stamp, edition)) {
			memmove(x->open + 1, x->open, i * sizeof(x->open[0]));
			x->open[0] = f;
			return true;
		}
		if (f->stamp.dev == stamp->dev && f->stamp.inode == stamp->inode)
			close_at(x, i--); /* as it was before */
	}
	return false;
}

static void leave_room(struct indexer *x)
{
	uint64_t bytes = 0;
	unsigned int n = 0;

	while (n < x->nopen && n < OPEN_MAX - 1 && bytes + bytes_of(x->open[n]) <= OPEN_BYTES)
		bytes += bytes_of(x->open[n++]);
	while (x->nopen > n)
		close_at(x, x->nopen - 1);
}

/* Takes fd. A debug file that has no room beside those of others is opened without them. */
static int open_file(struct indexer *x, int fd, const char *path, const struct message_stamp *stamp)
{
	struct elffile *f;

	leave_room(x);
	lsc_autoclose int again = x->nopen ? dup(fd) : -1;
	int r = elffile_open(fd, x->broker, &x->in.file, path, stamp, &f);
	if (r == 0 && f->debug_why == MESSAGE_WHY_TOO_LARGE && again >= 0) {
		elffile_close(f);
		while (x->nopen)
			close_at(x, 0);
		int taken = again;
		again = -1;
		r = elffile_open(taken, x->broker, &x->in.file, path, stamp, &f);
	}
	if (r == 0)
		put_first(x, f);
	return r;
}

static uint32_t add_text(struct indexer *x, const char *text)
{
	size_t len = text ? strnlen(text, MESSAGE_TEXT_MAX - 1) : 0;
	uint32_t at = x->out.head.text_size;

	if (!len || len + 1 > sizeof(x->text) - at)
		return 0;
	memcpy(x->text + at, text, len);
	x->text[at + len] = '\0';
	x->out.head.text_size += (uint32_t)len + 1;
	return at;
}

static void tell_lines(struct indexer *x, struct elffile *f, uint64_t bias, const uint64_t *offsets)
{
	const struct message_file *in = &x->in.file;
	struct srcline_call calls[INDEX_CALLS_MAX];

	for (uint32_t i = 0; i < in->noffsets; i++) {
		uint64_t address = offsets[i] - in->file.offset + in->file.start - bias;
		struct index_line *l = &x->out.lines[x->out.head.nlines++];
		*l = (struct index_line){.offset = offsets[i]};
		l->ncalls = (uint32_t)srcline_find(f, address, calls);
		for (uint32_t k = 0; k < l->ncalls; k++)
			l->calls[k] = (struct index_call){
				.function = add_text(x, calls[k].function),
				.file = add_text(x, calls[k].file),
				.line = calls[k].file && calls[k].line > 0 ? calls[k].line : 0};
	}
}

/* Finds out what is asked of the file. Takes fd, borrows room. */
static int look_into(struct indexer *x, int fd, int room, const uint64_t *offsets, const char *path)
{
	const struct message_file *in = &x->in.file;
	struct message_index *out = &x->out.head;
	uint64_t bias = 0;

	int r = stamp_of(fd, &out->stamp);
	if (r == 0 && in->noffsets)
		r = index_bias(fd, &in->file, &bias);
	if (r == 0 && is_same(&out->stamp, &in->known))
		out->flags = MESSAGE_INDEX_SAME;
	if (r < 0 || (out->flags & MESSAGE_INDEX_SAME && !in->noffsets)) {
		lsc_closep(&fd);
		return r;
	}
	if (find_open(x, &out->stamp, in->edition))
		lsc_closep(&fd);
	else if ((r = open_file(x, fd, path, &out->stamp)) < 0)
		return r;
	struct elffile *f = x->open[0];
	if (!(out->flags & MESSAGE_INDEX_SAME))
		r = indexwriter_run(f, room, &out->head);
	if (r == 0 && f->has_lines)
		tell_lines(x, f, bias, offsets);
	out->debug = f->debug_why;
	if (in->file.inode)
		memcpy(out->lacks, f->lacks, sizeof(out->lacks));
	if (r < 0 || !f->has_lines)
		close_at(x, 0);
	return r;
}

static int serve(struct indexer *x)
{
	struct message_file *in = &x->in.file;
	struct message_index *out = &x->out.head;
	uint64_t offsets[MESSAGE_OFFSETS_MAX];
	char path[MESSAGE_TEXT_MAX];
	int fds[2];
	ssize_t n = message_recv(x->broker, &x->in, sizeof(x->in), fds, 2, 0);

	if (n < (ssize_t)sizeof(*in) || in->kind != MESSAGE_FILE ||
	    in->noffsets > MESSAGE_OFFSETS_MAX ||
	    (size_t)n < sizeof(*in) + in->noffsets * sizeof(offsets[0]))
		return -EPIPE;
	const char *tail = x->in.bytes + sizeof(*in);
	size_t nbytes = in->noffsets * sizeof(offsets[0]);
	memcpy(offsets, tail, nbytes);
	size_t len = (size_t)n - sizeof(*in) - nbytes;
	memcpy(path, tail + nbytes, len < sizeof(path) ? len : sizeof(path) - 1);
	path[len < sizeof(path) ? len : sizeof(path) - 1] = '\0';

	*out = (struct message_index){.kind = MESSAGE_INDEX,
				      .status = in->status,
				      .dev = in->file.dev,
				      .inode = in->file.inode,
				      .text_size = 1};
	x->text[0] = '\0';
	lsc_autoclose int room = fds[0];
	int file = fds[1];
	if (in->status == 0 && !in->file.inode)
		file = dup(x->vdso);
	if (in->status == 0)
		out->status =
			file < 0 || room < 0 ? -EBADF : look_into(x, file, room, offsets, path);
	else
		lsc_closep(&file);
	if (out->status < 0)
		out->nlines = 0, out->text_size = 1;
	bool indexed = out->status == 0 && !(out->flags & MESSAGE_INDEX_SAME);
	size_t size = sizeof(*out) + out->nlines * sizeof(x->out.lines[0]);
	return message_send(x->collector, &x->out, size, x->text, out->text_size, &room, indexed,
			    0);
}

void indexer_run(pid_t parent, int collector, int broker)
{
	static struct indexer x;
	struct pollfd p[2] = {{.fd = broker, .events = POLLIN}, {.fd = collector}};

	x.collector = collector;
	x.broker = broker;
	int r = copy_vdso(&x);
	if (r == 0)
		r = sandbox_indexer(parent);
	struct message_status hello = {.kind = MESSAGE_HELLO, .value = r};
	if (message_send(collector, &hello, sizeof(hello), NULL, 0, NULL, 0, 0) < 0 || r < 0)
		return;
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents || (p[0].revents && serve(&x) < 0))
			return;
	}
}
