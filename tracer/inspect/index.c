/* SPDX-License-Identifier: MIT */
/* Reads indexes. An indexer may have been taken over by the file that it has read: nothing in its
 * messages, nor in an index, is believed. */
#include "inspect/index.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS		    (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define PROGRAM_HEADERS_MAX 256
#define PAGE		    4096ull
#define ROWS_AT_ONCE	    128
#define NAMES_AT_ONCE	    16384
#define BACK_MAX                                                                                   \
	1024 /* rows before the nearest one: what covers an address from further away is not found \
	      */

static bool line_fits(const struct index_line *l, uint32_t text_size)
{
	if (l->ncalls == 0 || l->ncalls > INDEX_CALLS_MAX)
		return false;
	for (uint32_t i = 0; i < l->ncalls; i++)
		if (l->calls[i].function >= text_size || l->calls[i].file >= text_size ||
		    l->calls[i].line < 0)
			return false;
	return true;
}

static bool lacks_fits(const struct message_index *m)
{
	size_t size = strnlen(m->lacks, sizeof(m->lacks));

	return size == 0 || (size < sizeof(m->lacks) && message_is_build_id(m->lacks, size));
}

int index_message_read(const void *buf, size_t size, struct message_index *ret)
{
	struct message_index m;

	if (size < sizeof(m))
		return -EBADMSG;
	memcpy(&m, buf, sizeof(m));
	if (m.kind != MESSAGE_INDEX || m.status > 0 || m.nlines > MESSAGE_OFFSETS_MAX ||
	    m.text_size == 0 || m.text_size > INDEX_TEXT_MAX || m.debug >= MESSAGE_WHY_COUNT ||
	    m.head.build_id[INDEX_BUILD_ID_MAX - 1] || !lacks_fits(&m) ||
	    size != sizeof(m) + m.nlines * sizeof(struct index_line) + m.text_size)
		return -EBADMSG;
	const char *text = (const char *)buf + size - m.text_size;
	if (text[0] || text[m.text_size - 1])
		return -EBADMSG;
	for (uint32_t i = 0; i < m.nlines; i++) {
		struct index_line l = index_message_line(buf, i);
		if (!line_fits(&l, m.text_size))
			return -EBADMSG;
	}
	*ret = m;
	return 0;
}

struct index_line index_message_line(const void *buf, uint32_t i)
{
	struct index_line l;

	memcpy(&l, (const char *)buf + sizeof(struct message_index) + i * sizeof(l), sizeof(l));
	return l;
}

const char *index_message_text(const void *buf, const struct message_index *m, uint32_t offset)
{
	const char *text = (const char *)buf + sizeof(*m) + m->nlines * sizeof(struct index_line);

	return text[offset] ? text + offset : NULL;
}

bool index_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS); /* fails for whatever is no memfd */

	return seals >= 0 && (seals & SEALS) == SEALS;
}

int64_t index_check(int fd, const struct index_head *h)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	uint64_t size = (uint64_t)st.st_size, rows = h->nrows * sizeof(struct index_row);
	if (size > INDEX_BYTES_MAX || h->elf_size > size || h->rows > size ||
	    size - h->rows < rows || h->names > size || size - h->names < h->names_size)
		return -EBADMSG;
	return st.st_size;
}

int index_bias(int fd, const struct message_piece *m, uint64_t *ret)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph[PROGRAM_HEADERS_MAX];

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.e_machine != EM_X86_64 || (e.e_type != ET_EXEC && e.e_type != ET_DYN) ||
	    e.e_phentsize != sizeof(ph[0]) || e.e_phnum > PROGRAM_HEADERS_MAX)
		return -ENOEXEC;
	ssize_t size = (ssize_t)(e.e_phnum * sizeof(ph[0]));
	if (pread(fd, ph, (size_t)size, (off_t)e.e_phoff) != size)
		return -ENOEXEC;
	for (int i = 0; i < e.e_phnum; i++) {
		const Elf64_Phdr *p = &ph[i];
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) ||
		    m->offset < (p->p_offset & ~(PAGE - 1)) ||
		    m->offset - (p->p_offset & ~(PAGE - 1)) >= p->p_filesz + PAGE)
			continue;
		*ret = m->start - m->offset + p->p_offset - p->p_vaddr;
		return 0;
	}
	return -ENOEXEC;
}

static bool read_row(int fd, const struct index_head *h, uint32_t i, struct index_row *ret)
{
	return pread(fd, ret, sizeof(*ret), (off_t)(h->rows + i * sizeof(*ret))) ==
	       (ssize_t)sizeof(*ret);
}

/* How many begin at or before the address. */
static uint32_t count_before(int fd, const struct index_head *h, uint64_t address)
{
	uint32_t low = 0, high = h->nrows;
	struct index_row row;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (!read_row(fd, h, mid, &row))
			return 0;
		if (row.start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool index_find(int fd, const struct index_head *h, uint64_t address, struct index_row *ret)
{
	uint32_t n = count_before(fd, h, address);

	for (uint32_t back = 1; back <= n && back <= BACK_MAX && read_row(fd, h, n - back, ret);
	     back++) {
		if (ret->reach <= address)
			return false;
		if (ret->start <= address && ret->end > address)
			return true;
	}
	return false;
}

bool index_before(int fd, const struct index_head *h, uint64_t address, struct index_row *ret)
{
	uint32_t n = count_before(fd, h, address);

	for (uint32_t back = 1; back <= n && back <= BACK_MAX && read_row(fd, h, n - back, ret);
	     back++)
		if (ret->function && ret->start <= address)
			return true;
	return false;
}

bool index_name(int fd, const struct index_head *h, const struct index_row *row,
		char ret[MESSAGE_TEXT_MAX])
{
	if (row->name >= h->names_size)
		return false;
	uint64_t size = h->names_size - row->name;
	if (size > MESSAGE_TEXT_MAX - 1)
		size = MESSAGE_TEXT_MAX - 1;
	ssize_t n = pread(fd, ret, size, (off_t)(h->names + row->name));
	ret[n > 0 ? n : 0] = '\0';
	return ret[0];
}

/* A piece of the names: they are read one after the other. */
struct window {
	uint64_t at;
	size_t size;
	char bytes[NAMES_AT_ONCE + 1];
};

static const char *name_in(struct window *w, int fd, const struct index_head *h, uint64_t offset)
{
	if (offset >= h->names_size)
		return NULL;
	bool inside = offset >= w->at && offset - w->at < w->size;
	if (!inside || !memchr(w->bytes + (offset - w->at), '\0', w->size - (offset - w->at))) {
		uint64_t left = h->names_size - offset;
		ssize_t n = pread(fd, w->bytes, left < NAMES_AT_ONCE ? left : NAMES_AT_ONCE,
				  (off_t)(h->names + offset));
		w->at = offset;
		w->size = n > 0 ? (size_t)n : 0;
		w->bytes[w->size] = '\0';
	}
	return w->bytes + (offset - w->at);
}

bool index_each(int fd, const struct index_head *h, index_symbol_fn *fn, void *arg)
{
	static struct window w; /* the worker has one thread */
	struct index_row rows[ROWS_AT_ONCE];

	w.size = 0;
	for (uint32_t i = 0; i < h->nrows;) {
		uint32_t want = h->nrows - i < ROWS_AT_ONCE ? h->nrows - i : ROWS_AT_ONCE;
		ssize_t n = pread(fd, rows, want * sizeof(rows[0]),
				  (off_t)(h->rows + i * sizeof(rows[0])));
		if (n < (ssize_t)sizeof(rows[0]))
			return false;
		uint32_t have = (uint32_t)((size_t)n / sizeof(rows[0]));
		for (uint32_t k = 0; k < have; k++) {
			const char *name = name_in(&w, fd, h, rows[k].name);
			if (name && fn(name, &rows[k], arg))
				return true;
		}
		i += have;
	}
	return false;
}
