/* SPDX-License-Identifier: MIT */
/*
 * The index of an ELF file: what walking and naming need of it, in a sealed memfd that an indexer
 * has written. Whoever reads it is kept waiting by no file system. It holds an ELF file with the
 * unwind information alone (all other sections are said to have no contents), then the symbols by
 * address, then their names in the same order.
 *
 * Lines and inlined calls are not in it: they are told for single addresses, in the message that
 * brings the index.
 */
#ifndef LSC_INSPECT_INDEX_H
#define LSC_INSPECT_INDEX_H

#include "inspect/message.h"

#define INDEX_BYTES_MAX	   (256ull << 20)
#define INDEX_BUILD_ID_MAX MESSAGE_BUILD_ID_MAX
#define INDEX_CALLS_MAX	   6
#define INDEX_TEXT_MAX	   (48 * 1024)

enum index_flags {
	INDEX_HAS_SYMTAB = 1, /* else its symbols are the exported ones */
	INDEX_HAS_LINES = 2,
};

struct index_head {
	uint64_t elf_size; /* it begins at 0 */
	uint64_t rows;	   /* where they begin */
	uint64_t names, names_size;
	uint32_t nrows;
	uint32_t flags;
	char build_id[INDEX_BUILD_ID_MAX]; /* in hex; empty: none */
	char pad[7];
};

/* Addresses as the file has them. */
struct index_row {
	uint64_t start, end;
	uint64_t reach;		   /* the largest end up to here */
	uint32_t name;		   /* from the begin of the names */
	uint8_t function, binding; /* global 2, weak 1, local 0 */
	uint8_t pad[2];
};

/* Texts are offsets as in a message_result; 0 is unknown. */
struct index_call {
	uint32_t function, file;
	int32_t line;
};

/* The calls that an address stands for: innermost first, all but the last inlined. */
struct index_line {
	uint64_t offset;
	uint32_t ncalls; /* at least 1 */
	struct index_call calls[INDEX_CALLS_MAX];
	uint32_t pad;
};

enum message_index_flags {
	MESSAGE_INDEX_SAME = 1, /* the one that the collector has is still right */
};

struct message_index {
	uint32_t kind;
	int32_t status; /* 0, or -errno: nothing of the file is to be had, or (to the worker) no
			   more of it */
	uint32_t slot;	/* to the worker */
	uint32_t flags;
	uint64_t dev, inode; /* as in maps */
	struct message_stamp stamp;
	uint32_t debug; /* enum message_why: why a separate debug file is not used */
	uint32_t nlines, text_size;
	uint32_t edition; /* to the worker: of the index (struct message_file) */
	struct index_head head;
	/* of a debug file that is on this machine in no place; in hex, empty: none */
	char lacks[INDEX_BUILD_ID_MAX];
	char pad[7];
	/* nlines * struct index_line, then text_size bytes, first and last of them NUL */
};

/* Checks a message of size bytes. 0 or -EBADMSG. */
int index_message_read(const void *buf, size_t size, struct message_index *ret);
/* One of its lines, and one of its texts, of a message that was checked; NULL unknown. */
struct index_line index_message_line(const void *buf, uint32_t i);
const char *index_message_text(const void *buf, const struct message_index *m, uint32_t offset);

/* Whether fd is a memfd that nobody can change or cut. Waits for nothing, whatever fd is. */
bool index_is_sealed(int fd);
/* Whether it holds what the head says. Its size, or -errno. */
int64_t index_check(int fd, const struct index_head *head);

/* How far above its own addresses a file lies that is mapped there. Reads fd. 0 or -ENOEXEC: no ELF
 * file of this machine, or not one of its pieces. */
int index_bias(int fd, const struct message_piece *piece, uint64_t *ret);

/* Where a symbol lies among them, by the address in the file: the innermost one that covers it, and
 * the last function that begins at or before it. False: none. */
bool index_find(int fd, const struct index_head *head, uint64_t address, struct index_row *ret);
bool index_before(int fd, const struct index_head *head, uint64_t address, struct index_row *ret);

/* The row's name, cut to MESSAGE_TEXT_MAX. False: it has none. */
bool index_name(int fd, const struct index_head *head, const struct index_row *row,
		char ret[MESSAGE_TEXT_MAX]);

/* Calls fn for each symbol, until it says true. False: it never did. */
typedef bool index_symbol_fn(const char *name, const struct index_row *row, void *arg);
bool index_each(int fd, const struct index_head *head, index_symbol_fn *fn, void *arg);

#endif
