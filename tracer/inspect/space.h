/* SPDX-License-Identifier: MIT */
/*
 * A target's address space as the worker knows it: its executable mappings and, over the files that
 * the broker could open, one Dwfl. Files are parsed when an address in them is first met.
 */
#ifndef LSC_INSPECT_SPACE_H
#define LSC_INSPECT_SPACE_H

#include <elfutils/libdwfl.h>

#include "inspect/entry.h"
#include "inspect/message.h"
#include "inspect/symbol.h"
#include "inspect/symtab.h"

struct perfmap;
struct pyview;
struct v8view;
struct unwind;

#define SPACE_BUILD_ID_MAX (2 * 32 + 1)

struct space_file {
	struct space *space; /* that it is of */
	uint64_t dev, inode, bias;
	Dwfl_Module *module;
	bool searched; /* for a debug file */
	bool indexed, has_symtab, has_lines;
	struct entry_table entries;
	struct symtab symtab;
	char build_id[SPACE_BUILD_ID_MAX]; /* in hex; empty: none, or not looked for yet */
};

struct space_map {
	uint64_t start, end, offset;
	char *path; /* owns; NULL: anonymous memory */
	int file;   /* index; -1: none that could be parsed */
};

struct space {
	int mem;    /* /proc/PID/mem, owns; -1: unreadable */
	int broker; /* to be asked for more files, borrowed; -1: none to be had */
	int pid;
	bool plain;		    /* without separate debug files */
	uint64_t spent;		    /* see space_spend() */
	enum message_why debug_why; /* of a debug file that is not used; not told yet */
	Dwfl *dwfl;
	struct unwind *unwind;	/* the one that runs: libdwfl's callbacks find it here */
	struct space_map *maps; /* by address */
	struct space_file *files;
	size_t nmaps, nfiles;
	struct symbol_cache symbols;
	struct pyview *python;	 /* owns; what is known of its CPython, NULL not looked for yet */
	struct v8view *v8;	 /* the same of its V8 */
	struct perfmap *perfmap; /* owns; names of code made at run time, NULL not looked for yet */
};

/* Takes mem, borrows broker. NULL out of memory. */
struct space *space_new(int mem, int broker, const struct message_open *target);
struct space *space_free(struct space *s);

/* Adds the mapping above the last one; one that lies elsewhere, or is one too many, is left out.
 * Takes fd, which is -1 when the file is not to be had. 0 or -errno; a file that is no ELF file of
 * this machine is no error. */
int space_add(struct space *s, const struct message_map *m, const char *path, size_t path_len,
	      int fd);

/* Ends the adding. vdso is an ELF of this machine. */
int space_seal(struct space *s, Elf *vdso);

/* Makes s hold the mappings of newer when both map the same files at the same places, and keeps
 * what was parsed. False, and nothing done, when they do not. */
bool space_refresh(struct space *s, struct space *newer);

/* Reads size bytes of the target's memory; false when they are not all there. */
bool space_read(const struct space *s, uint64_t address, void *buf, size_t size);

/* The mapping of an address; NULL unknown. */
const struct space_map *space_find(const struct space *s, uint64_t address);

/* Puts n bytes into hex. False, with an empty text: there are none, or too many. */
bool space_build_id(const void *bits, ssize_t n, char ret[SPACE_BUILD_ID_MAX]);

/* Takes from what all targets together may use for files beside their own; given back when the
 * space is freed. False: there is not enough left. */
bool space_spend(struct space *s, uint64_t bytes);

/* Parses a file: symbols, unwind table, build id. Slow; once. */
void space_index(struct space_file *f);

#endif
