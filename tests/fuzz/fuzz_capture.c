/* SPDX-License-Identifier: MIT */
/*
 * A capture from anywhere: opened, analysed, judged, and told as text, as a page and as JSON. The
 * input is a file as it is; or a sound one with bytes changed and its end cut off; or one with
 * changed rows: that comes through the checks of SQLite and of the schema, and reaches what
 * computes with the values.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "fixture.h"
#include "html.h"
#include "text.h"

#define COLUMNS_MAX 256
#define TEXT_MAX    64
#define CHANGES_MAX 32

static char path[64];
static FILE *nowhere;
static struct {
	uint8_t *bytes;
	size_t size;
} sound;
static struct {
	char *update; /* with the value and the row's place as parameters */
} columns[COLUMNS_MAX];
static size_t ncolumns;

static void remove_file(void)
{
	unlink(path);
}

/* One with rows in most tables. */
static void make_sound(void)
{
	struct fixture f;
	struct stat st;

	fixture_begin(&f, path);
	fixture_task(&f, 1, "one");
	fixture_task(&f, 2, "two");
	fixture_sleeping(&f);
	fixture_wait(&f, 900, STORE_WAIT_TASK, 1000, 100, 2);
	fixture_end(&f);
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_MUST(fd >= 0 && fstat(fd, &st) == 0);
	sound.size = (size_t)st.st_size;
	sound.bytes = malloc(sound.size);
	FUZZ_MUST(sound.bytes && read(fd, sound.bytes, sound.size) == st.st_size);
}

static void list_columns(void)
{
	static const char query[] =
		"SELECT printf('UPDATE OR IGNORE \"%w\" SET \"%w\"=?1 WHERE \"%w\"=(SELECT \"%w\" "
		"FROM"
		" \"%w\" LIMIT 1 OFFSET ?2)', t.name, c.name, k.name, k.name, t.name)"
		" FROM sqlite_schema t, pragma_table_info(t.name) c, pragma_table_info(t.name) k"
		" WHERE t.type='table' AND k.pk=1";
	sqlite3 *db;
	sqlite3_stmt *s;

	FUZZ_MUST(sqlite3_open(path, &db) == SQLITE_OK);
	FUZZ_MUST(sqlite3_prepare_v2(db, query, -1, &s, NULL) == SQLITE_OK);
	while (sqlite3_step(s) == SQLITE_ROW && ncolumns < COLUMNS_MAX) {
		columns[ncolumns].update = strdup((const char *)sqlite3_column_text(s, 0));
		FUZZ_MUST(columns[ncolumns++].update);
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	FUZZ_MUST(ncolumns > 50);
}

static void prepare(void)
{
	if (nowhere)
		return;
	snprintf(path, sizeof(path), "/dev/shm/fuzz-%d.lsc", getpid());
	nowhere = fopen("/dev/null", "w");
	FUZZ_MUST(nowhere && atexit(remove_file) == 0);
	make_sound();
	list_columns();
}

static void write_file(const void *data, size_t size)
{
	lsc_autoclose int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
}

static void bind_value(sqlite3_stmt *s, struct fuzz_input *in)
{
	char text[TEXT_MAX];
	size_t n;

	switch (fuzz_take(in, 1) % 5) {
	case 0:
		sqlite3_bind_int64(s, 1, (int8_t)fuzz_take(in, 1));
		break;
	case 1:
		sqlite3_bind_int64(s, 1, (int64_t)fuzz_take(in, 8));
		break;
	case 2:
		sqlite3_bind_null(s, 1);
		break;
	default:
		n = fuzz_take(in, 1) % TEXT_MAX;
		for (size_t i = 0; i < n; i++)
			text[i] = (char)fuzz_take(in, 1);
		sqlite3_bind_text(s, 1, text, (int)n, SQLITE_TRANSIENT);
	}
}

static void change_rows(struct fuzz_input *in)
{
	sqlite3 *db;

	write_file(sound.bytes, sound.size);
	FUZZ_MUST(sqlite3_open(path, &db) == SQLITE_OK);
	sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA ignore_check_constraints=ON; BEGIN", NULL,
		     NULL, NULL);
	for (int i = 0; i < CHANGES_MAX && in->left; i++) {
		sqlite3_stmt *s;
		size_t column = fuzz_take(in, 1) % ncolumns;
		FUZZ_MUST(sqlite3_prepare_v2(db, columns[column].update, -1, &s, NULL) ==
			  SQLITE_OK);
		sqlite3_bind_int64(s, 2, (int64_t)fuzz_take(in, 1) % 8);
		bind_value(s, in);
		sqlite3_step(s); /* a type that the column does not take, a key that exists */
		sqlite3_finalize(s);
	}
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(db);
}

/* What a bad disk or an interrupted copy leaves. */
static void change_bytes(struct fuzz_input *in)
{
	lsc_autofree uint8_t *copy = malloc(sound.size);

	FUZZ_MUST(copy);
	memcpy(copy, sound.bytes, sound.size);
	size_t size = sound.size - (fuzz_take(in, 1) % 4 ? 0 : fuzz_take(in, 3) % sound.size);
	for (int i = 0; i < CHANGES_MAX && in->left; i++) {
		size_t at = fuzz_take(in, 3) % sound.size;
		copy[at] ^= (uint8_t)fuzz_take(in, 1);
	}
	write_file(copy, size);
}

static void judge(const struct analysis *a)
{
	struct check c = {0};

	FUZZ_MUST(check_add_max_stall(&c, "50ms") == 0);
	FUZZ_MUST(check_add_max_findings(&c, "info=0") == 0);
	FUZZ_MUST(check_judge(&c, a) == 0);
	check_print(&c, a, &(struct text_options){.color = true, .width = 60}, nowhere);
	json_t *told = check_json(&c, a, "x.lsc", -1, 0);
	FUZZ_MUST(told);
	json_decref(told);
	check_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct store *s;
	struct analysis a;

	prepare();
	if (size >= 6 && !memcmp(data, "SQLite", 6))
		write_file(data, size);
	else if (fuzz_take(&in, 1) % 4 == 0)
		change_bytes(&in);
	else
		change_rows(&in);
	if (store_open(path, &s, NULL) < 0)
		return 0;
	if (analysis_run(s, &a, NULL) == 0) {
		json_t *report = report_json(&a);
		FUZZ_MUST(report);
		FUZZ_MUST(text_render(&a, &(struct text_options){.name = "x.lsc"}, nowhere) == 0);
		FUZZ_MUST(html_render(report, nowhere) == 0);
		judge(&a);
		json_decref(report);
		analysis_done(&a);
	}
	store_close(s);
	return 0;
}
