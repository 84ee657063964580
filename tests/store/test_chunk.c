/* SPDX-License-Identifier: MIT */
/* The packed form of task transitions, and histograms next to it. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "handle.h"
#include "varint.h"

struct reading {
	const struct chunk_event *want;
	uint64_t n;
	uint64_t stop_at;
};

static int compare(const struct chunk_event *e, void *arg)
{
	struct reading *r = arg;
	const struct chunk_event *w = &r->want[r->n++];

	assert_int_equal(e->ts_ns, w->ts_ns);
	assert_int_equal(e->kind, w->kind);
	assert_int_equal(e->task, w->task);
	assert_int_equal(e->detail, w->detail);
	assert_int_equal(e->arg, w->arg);
	return r->n == r->stop_at ? 7 : 0;
}

static int count(const struct chunk_event *e, void *arg)
{
	assert_true(e->kind != 0);
	++*(uint64_t *)arg;
	return 0;
}

static void extremes_come_back_as_they_were(void **state)
{
	(void)state;
	const struct chunk_event events[] = {
		{0, CHUNK_TICK_BEGIN, 0, 0, 0},
		{UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX},
		{0, 15, 0, 1, 1},
		{1ull << 63, 16, 1, 0, 127},
		{(1ull << 63) - 1, CHUNK_MARK, 1, 128, 0},
	};
	struct chunk_writer w = {0};
	struct reading r = {.want = events};

	for (size_t i = 0; i < 5; i++)
		assert_int_equal(chunk_writer_append(&w, &events[i]), 0);
	assert_int_equal(w.count, 5);
	assert_int_equal(w.first_ns, 0);
	assert_int_equal(w.last_ns, UINT64_MAX);
	assert_int_equal(chunk_each(w.data, w.size, compare, &r), 0);
	assert_int_equal(r.n, 5);
	r = (struct reading){.want = events, .stop_at = 2};
	assert_int_equal(chunk_each(w.data, w.size, compare, &r), 7);
	assert_int_equal(r.n, 2);
	assert_int_equal(chunk_writer_append(&w, &(struct chunk_event){.ts_ns = 1}), -EINVAL);
	chunk_writer_done(&w);
	assert_null(w.data);
}

static void a_full_chunk_refuses_and_the_next_one_is_decodable_alone(void **state)
{
	(void)state;
	uint64_t seed = fixture_seed(), ts = 1000000000000;
	size_t n = 20000, first = 0, i = 0;
	struct chunk_event *events = calloc(n, sizeof(*events));
	struct chunk_writer w = {0};
	int chunks = 0;

	assert_non_null(events);
	for (i = 0; i < n; i++) {
		ts += fixture_random(&seed) % (1u << (fixture_random(&seed) % 24)) - 100;
		events[i] = (struct chunk_event){
			ts, 1 + (uint32_t)(fixture_random(&seed) % 20),
			(uint32_t)(fixture_random(&seed) % 3 ? i / 9 : i % 300),
			(uint32_t)(fixture_random(&seed) % 11),
			fixture_random(&seed) >> fixture_random(&seed) % 64};
	}
	for (i = 0; i <= n; i++) {
		int r = i < n ? chunk_writer_append(&w, &events[i]) : -ENOSPC;
		if (!r)
			continue;
		struct reading reading = {.want = events + first};
		assert_int_equal(r, -ENOSPC);
		assert_in_range(w.size, 1, CHUNK_MAX_BYTES);
		assert_int_equal(chunk_each(w.data, w.size, compare, &reading), 0);
		assert_int_equal(reading.n, i - first);
		assert_int_equal(w.count, i - first);
		chunks++;
		first = i;
		chunk_writer_reset(&w);
		if (i < n)
			assert_int_equal(chunk_writer_append(&w, &events[i]), 0);
	}
	assert_true(chunks > 1);
	chunk_writer_done(&w);
	free(events);
}

static void every_cut_ends_at_an_event_or_is_refused(void **state)
{
	(void)state;
	struct chunk_writer w = {0};
	size_t ends[21] = {0};

	for (uint32_t i = 1; i <= 20; i++) {
		struct chunk_event e = {i * 1000000ull, 1 + i % 20, i * 77, i, (uint64_t)i << 40};
		assert_int_equal(chunk_writer_append(&w, &e), 0);
		ends[i] = w.size;
	}
	for (size_t size = 0, whole = 0; size <= w.size; size++) {
		uint64_t n = 0;
		uint8_t *copy = malloc(size + !size); /* the sanitizer watches its end */
		assert_non_null(copy);
		memcpy(copy, w.data, size);
		if (whole < 20 && size == ends[whole + 1])
			whole++;
		assert_int_equal(chunk_each(copy, size, count, &n),
				 size == ends[whole] ? 0 : -EBADMSG);
		assert_int_equal(n, whole);
		free(copy);
	}
	chunk_writer_done(&w);
}

static void random_bytes_never_break_the_decoder(void **state)
{
	(void)state;
	uint64_t seed = fixture_seed(), good = 0, bad = 0;

	for (int i = 0; i < 20000; i++) {
		size_t size = fixture_random(&seed) % 64;
		uint8_t *data = malloc(size + 1);
		uint64_t n = 0;
		assert_non_null(data);
		for (size_t k = 0; k < size; k++)
			data[k] = (uint8_t)(fixture_random(&seed) & (i & 1 ? 0x7f : 0xff));
		uint8_t *exact = realloc(data, size + !size);
		assert_non_null(exact);
		int r = chunk_each(exact, size, count, &n);
		assert_true(r == 0 || r == -EBADMSG);
		assert_true(n <= size);
		r ? bad++ : good++;

		struct lsc_histogram h;
		r = histogram_unpack(exact, size, &h);
		assert_true(r == 0 || r == -EBADMSG);
		free(exact);
	}
	assert_true(good > 0 && bad > 0);
	uint8_t *big = calloc(1, CHUNK_MAX_BYTES + 1);
	assert_non_null(big);
	assert_int_equal(chunk_each(big, CHUNK_MAX_BYTES + 1, count, &good), -EBADMSG);
	free(big);
}

static void varints_refuse_what_does_not_fit_64_bits(void **state)
{
	(void)state;
	uint8_t buf[VARINT_MAX + 1];
	uint64_t v;

	uint8_t *end = varint_put(buf, UINT64_MAX);
	assert_int_equal(end - buf, VARINT_MAX);
	assert_ptr_equal(varint_get(buf, end, &v), end);
	assert_int_equal(v, UINT64_MAX);
	buf[9] = 2;
	assert_null(varint_get(buf, end, &v));
	memset(buf, 0x80, sizeof(buf));
	assert_null(varint_get(buf, buf + sizeof(buf), &v));
	for (int shift = 0; shift < 64; shift++)
		assert_int_equal(varint_unzigzag(varint_zigzag(1ull << shift)), 1ull << shift);
}

static void histograms_come_back_and_damaged_ones_are_refused(void **state)
{
	(void)state;
	struct lsc_histogram h = {0}, back;
	uint8_t buf[HISTOGRAM_PACKED_MAX];

	size_t size = histogram_pack(&h, buf);
	assert_int_equal(size, 3);
	assert_int_equal(histogram_unpack(buf, size, &back), 0);
	for (int i = 0; i < 60; i++)
		lsc_hist_add(&h, 1ull << i);
	lsc_hist_add(&h, UINT64_MAX);
	size = histogram_pack(&h, buf);
	assert_int_equal(histogram_unpack(buf, size, &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	assert_int_equal(histogram_unpack(buf, size - 1, &back), -EBADMSG);

	memset(h.slot, 0xff, sizeof(h.slot));
	h.count = h.sum_ns = h.max_ns = UINT64_MAX;
	size = histogram_pack(&h, buf);
	assert_in_range(size, 1, sizeof(buf));
	assert_int_equal(histogram_unpack(buf, size, &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	buf[size] = buf[size + 1] = 1; /* one slot too many */
	assert_int_equal(histogram_unpack(buf, size + 2, &back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extremes_come_back_as_they_were),
		cmocka_unit_test(a_full_chunk_refuses_and_the_next_one_is_decodable_alone),
		cmocka_unit_test(every_cut_ends_at_an_event_or_is_refused),
		cmocka_unit_test(random_bytes_never_break_the_decoder),
		cmocka_unit_test(varints_refuse_what_does_not_fit_64_bits),
		cmocka_unit_test(histograms_come_back_and_damaged_ones_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
