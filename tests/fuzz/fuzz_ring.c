/* SPDX-License-Identifier: MIT */
/*
 * A ring whose producer lies, and the tasks that are rebuilt from it. The input: what of the header
 * is another, then records by their fields; sequence numbers and times are sound unless one says
 * that they are not.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "made.h"
#include "ring_track.h"

#define BITS	 LSC_RING_MIN_BITS
#define READ_MAX 37

enum { LIE_SEQ = 1, LIE_TIME = 2, LIE_HEAD = 4, READ_NOW = 8, RAW = 16 };

static void feed(const struct ring_record *record, void *arg)
{
	FUZZ_MUST(record->kind != LSC_REC_NONE && record->kind != LSC_REC_TEXT);
	FUZZ_MUST(!record->text || record->text_size <= LSC_TEXT_MAX);
	ring_track_feed(arg, record);
}

static void check(const struct ring *r)
{
	struct ring_ledger l = ring_ledger(r);

	FUZZ_MUST(l.emitted == l.delivered + l.overrun + l.invalid);
}

static void put(struct made *m, struct fuzz_input *in, unsigned int lies)
{
	struct lsc_record record = {.kind = (uint8_t)fuzz_take(in, 1) % (LSC_REC_LAST + 2),
				    .arg8 = (uint8_t)fuzz_take(in, 1),
				    .arg16 = (uint16_t)fuzz_take(in, 2),
				    .task = (uint32_t)fuzz_take(in, 1)};

	if (lies & RAW)
		for (size_t i = 0; i < sizeof(record); i++)
			((uint8_t *)&record)[i] = (uint8_t)fuzz_take(in, 1);
	else
		record.arg64 = fuzz_take(in, lies & LIE_TIME ? 8 : 1);
	if (lies & LIE_SEQ)
		record.seq = fuzz_take(in, 2);
	if (lies & LIE_TIME)
		record.time = fuzz_take(in, 8);
	made_put(m, record);
	if (lies & LIE_HEAD)
		made_set_head(m, fuzz_take(in, 2) + (m->header.head & ~0xffffull));
}

static void change_header(struct made *m, struct fuzz_input *in)
{
	uint8_t bytes[sizeof(m->header)];
	size_t n = fuzz_take(in, 1) % 8;

	memcpy(bytes, &m->header, sizeof(bytes));
	for (size_t i = 0; i < n; i++) {
		size_t at = fuzz_take(in, 1) % sizeof(bytes);
		bytes[at] = (uint8_t)fuzz_take(in, 1);
	}
	FUZZ_MUST(pwrite(m->fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ring_track_ops none;
	struct fuzz_input in = {data, size};
	struct made m = made_ring(BITS);
	struct ring_track *track = ring_track_new(&none, NULL);
	struct ring *r = NULL;
	enum ring_from from = fuzz_take(&in, 1) % 2 ? RING_FROM_NOW : RING_FROM_OLDEST;

	FUZZ_MUST(track);
	change_header(&m, &in);
	for (size_t n = fuzz_take(&in, 1); n && in.left; n--)
		put(&m, &in, 0); /* history */
	if (ring_open_fd(made_dup(&m), from, &r, NULL) == 0) {
		while (in.left) {
			unsigned int lies = (unsigned int)fuzz_take(&in, 1);
			put(&m, &in, lies);
			if (lies & READ_NOW)
				ring_read(r, READ_MAX, feed, track);
			check(r);
		}
		for (int i = 0; i < 20 && ring_read(r, READ_MAX, feed, track) > 0; i++)
			check(r);
	}
	ring_close(r);
	ring_track_free(track);
	close(m.fd);
	return 0;
}
