/* SPDX-License-Identifier: MIT */
/*
 * An ELF file as an indexer has it open, alone in a Dwfl and at the addresses that it states
 * itself, with its separate debug file. Runs in an indexer alone: everything here is hostile.
 */
#ifndef LSC_INSPECT_ELFFILE_H
#define LSC_INSPECT_ELFFILE_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include "inspect/index.h"

struct elffile {
	struct message_stamp stamp;
	int broker;	  /* to be asked for more files, borrowed; -1: none to be had */
	int pid;	  /* below whose root they are looked for */
	bool plain;	  /* without them */
	bool cache;	  /* those that debuginfod has brought are among them */
	uint32_t edition; /* as in struct message_file */
	bool searched;
	Dwfl *dwfl;
	Dwfl_Module *module;
	bool has_symtab, has_lines;
	char build_id[INDEX_BUILD_ID_MAX];
	enum message_why debug_why;	/* of a debug file that is not used */
	char lacks[INDEX_BUILD_ID_MAX]; /* of one that is nowhere; empty: none */
	/* where the file lies that has the lines; names in its links begin there */
	char base[MESSAGE_TEXT_MAX];
	struct {
		bool searched;
		int fd; /* owns, with what follows; -1: there is none */
		Elf *elf;
		Dwarf *dwarf;
	} alt; /* altlink.h */
	uint64_t spent;
};

/* Takes fd, borrows broker. Its build id and its debug file are looked for (slow). Gives *ret or
 * -errno: -ENOEXEC when it is no ELF file that can be read. */
int elffile_open(int fd, int broker, const struct message_file *what, const char *path,
		 const struct message_stamp *stamp, struct elffile **ret);
struct elffile *elffile_close(struct elffile *f);

/* Puts n bytes into hex. False, with an empty text: there are none, or too many. */
bool elffile_build_id(const void *bits, ssize_t n, char ret[INDEX_BUILD_ID_MAX]);

/* Takes from what all open files together may use for files beside them; given back when this one
 * is closed. False: there is not enough left. */
bool elffile_spend(struct elffile *f, uint64_t bytes);

#endif
