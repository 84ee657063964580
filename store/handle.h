/* SPDX-License-Identifier: MIT */
/*
 * What the files of the store share: the handle, SQLite's errors as -errno, the packed histogram.
 * Not for other modules: their header is store.h.
 */
#ifndef LSC_STORE_HANDLE_H
#define LSC_STORE_HANDLE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "store.h"

#define STORE_APPLICATION_OFFSET 68	    /* big-endian, 4 bytes */
#define STORE_APPLICATION_ID	 0x4c534331 /* "LSC1", bytes 68-71 of the file */
#define STORE_VERSION		 3	    /* user_version, bytes 60-63 */
#define STORE_PAGE_SIZE		 4096
#define STORE_FRAMES_MAX	 1024 /* of one stack */

/* The statements that a writer keeps prepared. */
enum store_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_PAGES,
	STATEMENT_META,
	STATEMENT_TARGET,
	STATEMENT_LOOP,
	STATEMENT_TASK,
	STATEMENT_STALL,
	STATEMENT_STALL_SPLIT_CLEAR,
	STATEMENT_STALL_SPLIT,
	STATEMENT_CULPRIT,
	STATEMENT_BLOCK,
	STATEMENT_SAMPLE,
	STATEMENT_WAIT,
	STATEMENT_STACK,
	STATEMENT_FRAME_CLEAR,
	STATEMENT_FRAME,
	STATEMENT_CHUNK,
	STATEMENT_MODE,
	STATEMENT_STEP,
	STATEMENT_MARK,
	STATEMENT_COUNTER,
	STATEMENT_SITE_STACK,
	STATEMENT_LOSS,
	STATEMENT_UNSEEN,
	STATEMENT_UNRESOLVED,
	STATEMENT_COUNT,
};

/* The file that a capture will be. */
struct unpublished {
	char *name; /* owns; beside its place. NULL: it has its place */
	bool named; /* it lies there; otherwise it has no name */
	int fd;	    /* owns */
	struct stat created;
};

struct store {
	sqlite3 *db; /* in memory until it is published */
	char *path;  /* owns; of a writer, for the messages of store_finish */
	sqlite3_stmt *put[STATEMENT_COUNT]; /* owns; prepared at first use */
	struct unpublished unpublished;
	bool overwrite;
	bool writable;
	bool live;	    /* being read, while another process writes it */
	int broken;	    /* -errno: what was put since the last commit is void */
	uint64_t max_bytes; /* 0: unbounded */
	uint64_t room;	    /* bytes that may be put before the size is looked at again */
	char value[STORE_TEXT_MAX + 1]; /* what store_meta_get lent last */
};

extern const char schema_sql[], migration_2_sql[], migration_3_sql[]; /* schema.S */

/* -errno of one of SQLite's result codes (extended ones too). */
int store_errno(int rc);

/* Runs one statement without parameters or results. 0 or -errno. */
int store_exec(sqlite3 *db, const char *sql);

/* Makes one store handle of a connection; takes db. NULL out of memory. */
struct store *store_new(sqlite3 *db, const char *path);

#define HISTOGRAM_PACKED_MAX (10 * (3 + 2 * LSC_HIST_SLOTS))

/* Packs into buf (HISTOGRAM_PACKED_MAX bytes), returns the size. */
size_t histogram_pack(const struct lsc_histogram *h, uint8_t *buf);
/* 0 or -EBADMSG. */
int histogram_unpack(const void *data, size_t size, struct lsc_histogram *ret);

#endif
