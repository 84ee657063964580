/* SPDX-License-Identifier: MIT */
/*
 * A target's address space as the worker knows it: its executable mappings and the files they are
 * of. Of a file the worker has its index alone (index.h), and asks for that when an address in the
 * file is first met: until it is there, the job that needs it is put off by the collector.
 */
#ifndef LSC_INSPECT_SPACE_H
#define LSC_INSPECT_SPACE_H

#include <elfutils/libdwfl.h>

#include "inspect/entry.h"
#include "inspect/index.h"
#include "inspect/message.h"
#include "inspect/symbol.h"

struct perfmap;
struct pyview;
struct v8view;
struct unwind;

struct space_file {
	struct message_piece piece; /* a mapping by which it can be opened */
	char *path;		    /* owns */
	uint64_t refused_ns;	    /* when it was last refused; 0 never */
	int fd;			    /* of the index, owns; -1: there is none */
	struct index_head head;
	Dwfl_Module *module; /* over the index */
	uint64_t bias;
	uint32_t edition; /* of the index (struct message_file) */
	bool has_lines;	  /* to be told on demand */
	bool lacks;	  /* something of a debug file; that was told */
	struct entry_table entries;
};

struct space_map {
	uint64_t start, end, offset;
	char *path; /* owns; NULL: anonymous memory */
	int file;   /* index; -1: none that can be indexed */
};

struct space {
	int mem;    /* /proc/PID/mem, owns; -1: unreadable */
	int broker; /* to be asked for a perf map, borrowed; -1: none to be had */
	int pid;
	uint64_t spent;		    /* see space_spend() */
	enum message_why debug_why; /* of names that are not to be had; not told yet */
	Dwfl *dwfl;
	struct unwind *unwind;	/* the one that runs: libdwfl's callbacks find it here */
	struct space_map *maps; /* by address */
	struct space_file *files;
	size_t nmaps, nfiles;
	struct symbol *symbols;	 /* owns; a hash */
	struct pyview *python;	 /* owns; what is known of its CPython, NULL not looked for yet */
	struct v8view *v8;	 /* the same of its V8 */
	struct perfmap *perfmap; /* owns; names of code made at run time, NULL not looked for yet */
	/* What the present job lacks: the file, and where in it lines are asked for. */
	struct {
		bool may;
		int file; /* index; -1: nothing */
		uint32_t noffsets;
		uint64_t offsets[MESSAGE_OFFSETS_MAX];
	} want;
};

/* Takes mem, borrows broker. NULL out of memory. */
struct space *space_new(int mem, int broker, const struct message_open *target);
struct space *space_free(struct space *s);

/* Adds the mapping above the last one; one that lies elsewhere, or is one too many, is left out. 0
 * or -errno. */
int space_add(struct space *s, const struct message_map *m, const char *path, size_t path_len);

/* Ends the adding. machine is an ELF of this machine. */
int space_seal(struct space *s, Elf *machine);

/* The memory that the table describes is no more: the process has ended, or runs another program.
 */
bool space_is_gone(const struct space *s);

/* Makes s hold the mappings of newer when both map the same files at the same places, and keeps
 * what was parsed of files and, unless its memory is gone, of what they run. False, and nothing
 * done, when they do not. */
bool space_refresh(struct space *s, struct space *newer);

/* Reads size bytes of the target's memory; false when they are not all there. */
bool space_read(const struct space *s, uint64_t address, void *buf, size_t size);

/* The mapping of an address; NULL unknown. */
const struct space_map *space_find(const struct space *s, uint64_t address);

/* Takes from what all targets together may use for files beside their own: at most half of what the
 * others leave, so that there is some for each. False: that is not enough. What is not given back
 * is when the space is freed. */
bool space_spend(struct space *s, uint64_t bytes);
void space_give_back(struct space *s, uint64_t bytes);

/* Begins a job, which may want what is not there or has to make do. */
void space_begin(struct space *s, bool make_do);
/* Whether the file's index is there; if not, it is wanted. */
bool space_need(struct space *s, struct space_file *f);
/* Wants the lines of an address. False: they cannot be had. */
bool space_need_line(struct space *s, struct space_file *f, uint64_t address);
/* Something is wanted: the job will be run once more. */
bool space_wants(const struct space *s);

/* Takes what an indexer has found out of a file, with the index or -1, for the files that it is
 * about. Takes fd. */
void space_take_index(struct space *s, const struct message_index *m, const void *message, int fd);

#endif
