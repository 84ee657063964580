/* SPDX-License-Identifier: MIT */
/* The test's own reader of the ring: pread, the overrun rule, and a check of every record. */
#include "reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

int reader_find_link(const char *beginning)
{
	DIR *dir = opendir("/proc/self/fd");
	int found = -1;

	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e && found < 0; e = readdir(dir)) {
		char path[300], target[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, beginning, strlen(beginning)) == 0)
			found = atoi(e->d_name);
	}
	closedir(dir);
	return found;
}

int reader_find(void)
{
	return reader_find_link("/memfd:" LSC_RING_MEMFD_NAME);
}

static void check_header(const struct reader *r)
{
	const struct lsc_ring_header *h = &r->header;
	struct stat st;

	assert_int_equal(fcntl(r->fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(h->magic, LSC_RING_MAGIC);
	assert_int_equal(h->version, 1);
	assert_int_equal(h->header_size, 4096);
	assert_int_equal(h->record_size, 32);
	assert_in_range(h->record_bits, LSC_RING_MIN_BITS, LSC_RING_MAX_BITS);
	assert_int_equal(h->pid, getpid());
	assert_int_equal(h->tid, gettid());
	assert_int_equal(h->current_offset, 2056);
	assert_string_equal(h->runtime, "loopscope");
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_size, 4096 + (32ll << h->record_bits));
}

void reader_open(struct reader *ret)
{
	*ret = (struct reader){.fd = reader_find()};
	assert_true(ret->fd >= 0);
	assert_int_equal(pread(ret->fd, &ret->header, sizeof(ret->header), 0), 4096);
	check_header(ret);

	uint64_t slots = 1ull << ret->header.record_bits, head = ret->header.head;
	ret->first = head >= slots ? head - slots + 1 : 0;
	ret->count = head - ret->first;
	ret->records = calloc(ret->count + 1, sizeof(*ret->records));
	assert_non_null(ret->records);
	for (size_t i = 0; i < ret->count; i++) {
		struct lsc_record *rec = &ret->records[i];
		uint64_t index = ret->first + i;

		assert_int_equal(
			pread(ret->fd, rec, 32, (off_t)(4096 + 32 * (index & (slots - 1)))), 32);
		assert_int_equal(rec->seq, index + 1);
		assert_in_range(rec->kind, LSC_REC_TICK_BEGIN, LSC_REC_LAST);
		if (i > 0)
			assert_true(rec->time >= rec[-1].time);
	}
}

void reader_close(struct reader *r)
{
	free(r->records);
	r->records = NULL;
}

size_t reader_text(const struct reader *r, size_t at, char buf[LSC_TEXT_MAX + 1])
{
	size_t length = 0;

	for (uint16_t part = 0; ++at < r->count && r->records[at].kind == LSC_REC_TEXT; part++) {
		struct lsc_record_text t;

		memcpy(&t, &r->records[at], sizeof(t));
		assert_int_equal(t.part & ~LSC_TEXT_LAST, part);
		assert_in_range(t.length, 1, sizeof(t.text));
		assert_true(length + t.length <= LSC_TEXT_MAX);
		memcpy(buf + length, t.text, t.length);
		length += t.length;
		if (t.part & LSC_TEXT_LAST)
			break;
		assert_int_equal(t.length, sizeof(t.text));
	}
	buf[length] = '\0';
	return length;
}

size_t reader_next(const struct reader *r, size_t from, uint8_t kind, uint32_t task)
{
	while (from < r->count &&
	       (r->records[from].kind != kind || (task != 0 && r->records[from].task != task)))
		from++;
	return from;
}

uint32_t reader_task(const struct reader *r, const char *name)
{
	char text[LSC_TEXT_MAX + 1];

	for (size_t i = 0; (i = reader_next(r, i, LSC_REC_TASK_NEW, 0)) < r->count; i++) {
		reader_text(r, i, text);
		if (strcmp(text, name) == 0)
			return r->records[i].task;
	}
	fail_msg("no task named '%s' in the ring", name);
	return 0;
}
