/* SPDX-License-Identifier: MIT */
/* Mappings and files of one target. Runs in the worker alone: everything here is hostile. */
#include "inspect/space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/perfmap.h"
#include "inspect/unwind.h"
#include "inspect/v8view.h"

#define FILES_MAX   256 /* of one target: an index has two descriptors */
#define ADDRESS_END (1ull << 47)
#define REFUSED_NS  (30 * LSC_NS_PER_S)

#define SPEND_MAX (384ull << 20) /* of the worker's RLIMIT_AS */

static uint64_t spent; /* by all spaces; the worker has one thread */

/* The index has no debug information, and no other file is looked for here. */
static int find_nothing(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **ret)
{
	(void)mod, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)ret;
	return -1;
}

static const Dwfl_Callbacks callbacks = {.find_debuginfo = find_nothing};

struct space *space_new(int mem, int broker, const struct message_open *target)
{
	struct space *s = calloc(1, sizeof(*s));

	if (s)
		s->dwfl = dwfl_begin(&callbacks);
	if (!s || !s->dwfl) {
		free(s);
		lsc_closep(&mem);
		return NULL;
	}
	s->mem = mem;
	s->broker = broker;
	s->pid = target->pid;
	s->want.file = -1;
	return s;
}

static void forget_languages(struct space *s)
{
	free(s->python);
	s->python = NULL;
	s->v8 = v8view_free(s->v8);
}

struct space *space_free(struct space *s)
{
	if (!s)
		return NULL;
	dwfl_end(s->dwfl);
	for (size_t i = 0; i < s->nmaps; i++)
		free(s->maps[i].path);
	free(s->maps);
	for (size_t i = 0; i < s->nfiles; i++) {
		free(s->files[i].path);
		lsc_closep(&s->files[i].fd);
	}
	free(s->files);
	symbol_forget(&s->symbols);
	forget_languages(s);
	perfmap_free(s->perfmap);
	space_give_back(s, s->spent);
	lsc_closep(&s->mem);
	free(s);
	return NULL;
}

static void place_piece(struct message_piece *p, const struct message_map *m)
{
	p->start = m->start;
	p->end = m->end;
	p->offset = m->offset;
}

/* Gives the index of the file, or -1. */
static int add_file(struct space *s, const struct message_map *m, const char *path)
{
	struct space_file *last = s->nfiles ? &s->files[s->nfiles - 1] : NULL;

	if (last && last->piece.inode == m->inode && last->piece.dev == m->dev) {
		if (m->offset < last->piece.offset) /* that was mapped once more, before its file */
			place_piece(&last->piece, m);
		return (int)s->nfiles - 1;
	}
	if (s->nfiles >= FILES_MAX)
		return -1;
	struct space_file *more = realloc(s->files, (s->nfiles + 1) * sizeof(*more));
	if (!more)
		return -1;
	s->files = more;
	struct space_file *f = &s->files[s->nfiles];
	*f = (struct space_file){
		.piece = {.dev = m->dev, .inode = m->inode}, .path = strdup(path), .fd = -1};
	place_piece(&f->piece, m);
	return f->path ? (int)s->nfiles++ : -1;
}

int space_add(struct space *s, const struct message_map *m, const char *path, size_t path_len)
{
	const struct space_map *last = s->nmaps ? &s->maps[s->nmaps - 1] : NULL;
	struct space_map map = {.start = m->start, .end = m->end, .offset = m->offset, .file = -1};

	if (s->nmaps >= MESSAGE_MAPS_MAX || m->start >= m->end || (last && m->start < last->end))
		return 0;
	struct space_map *more = realloc(s->maps, (s->nmaps + 1) * sizeof(*more));
	if (more)
		s->maps = more;
	if (more && path_len)
		map.path = strndup(path, path_len);
	if (!more || (path_len && !map.path))
		return -ENOMEM;
	if (map.path && m->flags & (MESSAGE_MAP_FILE | MESSAGE_MAP_VDSO))
		map.file = add_file(s, m, map.path);
	s->maps[s->nmaps++] = map;
	return 0;
}

int space_seal(struct space *s, Elf *machine)
{
	if (dwfl_report_end(s->dwfl, NULL, NULL) != 0)
		return -EIO;
	return unwind_attach(s, machine);
}

bool space_is_gone(const struct space *s)
{
	char byte;

	/* end of file, at an address that never faults anything in */
	return s->mem >= 0 && pread(s->mem, &byte, 1, 0) == 0;
}

bool space_refresh(struct space *s, struct space *newer)
{
	if (s->nfiles != newer->nfiles)
		return false;
	for (size_t i = 0; i < s->nfiles; i++) {
		const struct message_piece *a = &s->files[i].piece, *b = &newer->files[i].piece;
		if (a->dev != b->dev || a->inode != b->inode ||
		    a->start - a->offset != b->start - b->offset)
			return false;
	}
	for (size_t i = 0; i < s->nfiles; i++)
		s->files[i].piece = newer->files[i].piece;
	if (s->mem < 0 || space_is_gone(s)) { /* perhaps the same program in another process */
		forget_languages(s);
		s->perfmap = perfmap_free(s->perfmap);
		space_give_back(s, s->spent);
	}
	struct space_map *maps = s->maps;
	size_t nmaps = s->nmaps;
	int mem = s->mem;
	s->maps = newer->maps;
	s->nmaps = newer->nmaps;
	s->mem = newer->mem;
	s->pid = newer->pid;
	newer->maps = maps;
	newer->nmaps = nmaps;
	newer->mem = mem;
	return true;
}

bool space_read(const struct space *s, uint64_t address, void *buf, size_t size)
{
	return s->mem >= 0 && address < ADDRESS_END &&
	       pread(s->mem, buf, size, (off_t)address) == (ssize_t)size;
}

const struct space_map *space_find(const struct space *s, uint64_t address)
{
	size_t low = 0, high = s->nmaps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (address >= s->maps[mid].end)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->nmaps && address >= s->maps[low].start ? &s->maps[low] : NULL;
}

bool space_spend(struct space *s, uint64_t bytes)
{
	if (bytes > SPEND_MAX || s->spent + bytes > (SPEND_MAX - (spent - s->spent)) / 2)
		return false;
	spent += bytes;
	s->spent += bytes;
	return true;
}

void space_give_back(struct space *s, uint64_t bytes)
{
	spent -= bytes;
	s->spent -= bytes;
}

/* ---- what a job lacks ---- */

void space_begin(struct space *s, bool make_do)
{
	s->want.may = !make_do;
	s->want.file = -1;
	s->want.noffsets = 0;
	symbol_trim(&s->symbols);
}

bool space_wants(const struct space *s)
{
	return s->want.file >= 0;
}

bool space_need(struct space *s, struct space_file *f)
{
	if (f->module)
		return true;
	if (!s->want.may || space_wants(s) ||
	    (f->refused_ns && lsc_now_ns() - f->refused_ns < REFUSED_NS))
		return false;
	s->want.file = (int)(f - s->files);
	return false;
}

bool space_need_line(struct space *s, struct space_file *f, uint64_t address)
{
	int file = (int)(f - s->files);

	if (!f->has_lines || !s->want.may)
		return false;
	if (!space_wants(s))
		s->want.file = file;
	if (s->want.file == file && s->want.noffsets < MESSAGE_OFFSETS_MAX)
		s->want.offsets[s->want.noffsets++] = address - f->piece.start + f->piece.offset;
	return true;
}

static void read_entries(struct space_file *f)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(f->module, &bias);
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr sh;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name =
			gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;
		if (name && strcmp(name, ".eh_frame_hdr") == 0 && sh.sh_type != SHT_NOBITS)
			entry_table_read(scn, &sh, &f->entries);
	}
}

/* One that knows more of the same file: its names come from it from now on. How to unwind is what
 * it was. Borrows fd. */
static int renew_index(struct space *s, struct space_file *f, const struct message_index *m, int fd)
{
	int64_t size = index_check(fd, &m->head);
	int newer = size < 0 ? -1 : dup(fd);

	if (newer < 0)
		return size < 0 ? (int)size : -errno;
	lsc_closep(&f->fd);
	f->fd = newer;
	f->head = m->head;
	f->edition = m->edition;
	f->has_lines = m->head.flags & INDEX_HAS_LINES;
	f->lacks = false;
	symbol_forget(&s->symbols);
	return 0;
}

/* Borrows fd. */
static int open_index(struct space *s, struct space_file *f, const struct index_head *head, int fd)
{
	int64_t size = index_check(fd, head);
	char name[24];

	if (size < 0)
		return (int)size;
	int r = index_bias(fd, &f->piece, &f->bias);
	if (r < 0)
		return r;
	f->fd = dup(fd);
	int elf = f->fd < 0 ? -1 : dup(fd);
	if (elf < 0)
		return -errno;
	/* By its number: two with the same name and place are one to libdwfl, which drops it. */
	snprintf(name, sizeof(name), "%td", f - s->files);
	/* ET_EXEC ignores the bias, which is 0 then. elf belongs to the module from here. */
	dwfl_report_begin_add(s->dwfl);
	f->module = dwfl_report_elf(s->dwfl, name, name, elf, f->bias, true);
	if (!f->module)
		close(elf);
	if (dwfl_report_end(s->dwfl, NULL, NULL) != 0)
		f->module = NULL;
	if (!f->module)
		return -ENOEXEC;
	f->head = *head;
	f->has_lines = head->flags & INDEX_HAS_LINES;
	read_entries(f);
	return 0;
}

/* What is not there, and will not be for a while. */
static void refuse(struct space *s, struct space_file *f, int status)
{
	f->refused_ns = lsc_now_ns();
	f->has_lines = false;
	if (status == -ETIMEDOUT)
		s->debug_why = MESSAGE_WHY_LATE;
	else if (status == -EFBIG)
		s->debug_why = MESSAGE_WHY_TOO_LARGE;
}

static void take_index(struct space *s, struct space_file *f, const struct message_index *m, int fd)
{
	int status = m->status;

	if (status == 0 && f->module && fd >= 0 && m->edition > f->edition) {
		status = renew_index(s, f, m, fd);
	} else if (status == 0 && !f->module && fd >= 0) {
		status = open_index(s, f, &m->head, fd);
		f->edition = m->edition;
		if (status < 0) {
			lsc_closep(&f->fd);
			f->fd = -1;
		} else if (f->refused_ns) { /* it may be what was missed there */
			forget_languages(s);
		}
	}
	if (status < 0 || !f->module) {
		refuse(s, f, status);
	} else if (m->debug && !f->lacks) {
		s->debug_why = (enum message_why)m->debug;
		f->lacks = true;
	}
}

void space_take_index(struct space *s, const struct message_index *m, const void *message, int fd)
{
	for (size_t i = 0; i < s->nfiles; i++) {
		struct space_file *f = &s->files[i];
		if (f->piece.dev != m->dev || f->piece.inode != m->inode)
			continue;
		take_index(s, f, m, fd);
		for (uint32_t k = 0; f->module && k < m->nlines; k++)
			symbol_learn(s, f, m, message, k);
	}
	lsc_closep(&fd);
}
