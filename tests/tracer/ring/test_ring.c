/* SPDX-License-Identifier: MIT */
/* The reader of rings, on sound ones and on all that a hostile target can put in their place. */
#include "made.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ring_track.h"

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct seen {
	size_t n;
	struct ring_record last, record[8];
	char text[8][LSC_TEXT_MAX + 1];
};

static void note(const struct ring_record *rec, void *arg)
{
	struct seen *s = arg;

	if (s->n < 8) {
		s->record[s->n] = *rec;
		if (rec->text)
			memcpy(s->text[s->n], rec->text, rec->text_size);
	}
	s->last = *rec;
	s->n++;
}

static struct ring *open_made(const struct made *m, enum ring_from from)
{
	struct lsc_err err = {0};
	struct ring *r = NULL;

	if (ring_open_fd(made_dup(m), from, &r, &err))
		fail_msg("%s", err.text);
	return r;
}

static void assert_sums(const struct ring *r)
{
	struct ring_ledger l = ring_ledger(r);

	assert_int_equal(l.emitted, l.delivered + l.overrun + l.invalid);
}

static void assert_refused(int fd, const char *text)
{
	struct lsc_err err = {0};
	struct ring *r = NULL;

	assert_int_equal(ring_open_fd(fd, RING_FROM_OLDEST, &r, &err), -EPROTO);
	assert_null(r);
	assert_string_equal(err.text, text);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it took the descriptor */
}

static void records_arrive_with_their_texts_and_the_ledger_sums(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct seen s = {0};

	assert_string_equal(ring_info(r)->runtime, "made");
	assert_int_equal(ring_info(r)->tid, 13);
	made_put(&m, (struct lsc_record){.kind = LSC_REC_SITE, .task = 3, .arg64 = 42});
	made_put_text(&m, "spawn\0source/app.c", 18);
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_NEW, .task = 1, .arg64 = 3});
	assert_int_equal(ring_read(r, 1000, note, &s), 4);
	assert_int_equal(s.n, 1); /* the task's name may still come */
	made_put_text(&m, "a name of many letters", 22);
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_NEW, .task = 2});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_RUN, .task = 2});
	made_put(&m, (struct lsc_record){.kind = 200});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_MARK});
	assert_int_equal(ring_read(r, 1000, note, &s), 6);
	assert_int_equal(ring_read(r, 1000, note, &s),
			 0); /* the mark has no text: now it is certain */
	assert_int_equal(s.n, 5);
	assert_int_equal(s.record[0].text_size, 18);
	assert_memory_equal(s.text[0], "spawn\0source/app.c", 18);
	assert_string_equal(s.text[1], "a name of many letters");
	assert_null(s.record[2].text);
	assert_int_equal(s.record[3].kind, LSC_REC_TASK_RUN);
	assert_int_equal(s.record[4].kind, LSC_REC_MARK);
	struct ring_ledger l = ring_ledger(r);
	assert_int_equal(l.emitted, 10);
	assert_int_equal(l.delivered, 10);
	assert_int_equal(l.unknown, 1);
	assert_null(ring_close(r));
	close(m.fd);
}

static void what_lies_before_the_attach_is_history_and_not_loss(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct seen s = {0}, later = {0};

	for (int i = 0; i < 1000; i++)
		made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN, .arg64 = (uint64_t)i});
	struct ring *r = open_made(&m, RING_FROM_OLDEST), *now = open_made(&m, RING_FROM_NOW);
	assert_int_equal(ring_read(r, 10000, note, &s), 255);
	assert_int_equal(s.n, 255);
	assert_true(s.record[0].gap && s.record[0].history && !s.record[1].gap && s.last.history);
	assert_int_equal(s.record[0].arg64, 745);
	assert_int_equal(ring_ledger(r).emitted, 0);
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_END});
	assert_int_equal(ring_read(r, 10000, note, &s), 1);
	assert_false(s.last.history);
	assert_int_equal(ring_ledger(r).emitted, 1);
	assert_int_equal(ring_read(now, 10000, note, &later), 1);
	assert_true(later.last.gap);
	assert_sums(r);
	ring_close(r);
	ring_close(now);
	close(m.fd);
}

static void overruns_and_invalid_records_are_counted_and_marked_as_gaps(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct seen s = {0};

	for (int i = 0; i < 600; i++)
		made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN});
	assert_int_equal(ring_read(r, 10000, note, &s), 600);
	assert_int_equal(ring_ledger(r).overrun, 345);
	assert_int_equal(s.n, 255);
	assert_true(s.record[0].gap);

	s.n = 0;
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_NEW, .task = 1});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TEXT, .seq = 1}); /* wrong seq */
	made_put(&m, (struct lsc_record){
			     .kind = LSC_REC_TEXT, .arg8 = 12, .arg16 = 1}); /* its second piece */
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TEXT, .arg8 = 13}); /* too long */
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_DONE, .task = 1, .arg8 = 3});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_SITE_STACK, .task = 1, .arg8 = 63});
	made_put(&m, /* more than any address space has */
		 (struct lsc_record){.kind = LSC_REC_SITE_STACK, .task = 1, .arg64 = 1ull << 63});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_RUN}); /* no task */
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_RUN, .task = 1, .time = UINT64_MAX});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_RUN, .task = 1, .time = 1});
	made_put(&m,
		 (struct lsc_record){.kind = LSC_REC_TASK_STATE, .task = 1, .arg64 = UINT64_MAX});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TASK_RUN, .task = 1});
	assert_int_equal(ring_read(r, 10000, note, &s), 12);
	assert_int_equal(s.n, 2);
	assert_null(s.record[0].text);
	assert_true(s.record[1].gap && s.record[1].kind == LSC_REC_TASK_RUN);
	assert_int_equal(ring_ledger(r).invalid, 9);
	assert_int_equal(ring_ledger(r).emitted, 612);
	assert_sums(r);
	ring_close(r);
	close(m.fd);
}

static void times_that_go_backwards_are_held_and_counted(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct seen s = {0};
	uint64_t now = lsc_now_ns();

	made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN, .time = now});
	made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_END, .time = now - 1000});
	assert_int_equal(ring_read(r, 100, note, &s), 2);
	assert_int_equal(s.last.time_ns, now);
	assert_int_equal(ring_ledger(r).clamped, 1);
	ring_close(r);
	close(m.fd);
}

static void one_call_reads_no_more_than_it_was_told(void **state)
{
	(void)state;
	struct made m = made_ring(12);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct seen s = {0};

	for (int i = 0; i < 3000; i++)
		made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN});
	assert_int_equal(ring_read(r, 1000, note, &s), 1000);
	assert_int_equal(ring_read(r, 1, note, &s), 1);
	assert_int_equal(ring_read(r, 10000, note, &s), 1999);
	assert_int_equal(s.n, 3000);
	ring_close(r);
	close(m.fd);
}

static void heads_that_jump_or_go_back_end_the_ring(void **state)
{
	(void)state;
	struct seen s = {0};

	for (int i = 0; i < 3; i++) {
		struct made m = made_ring(8);
		made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN});
		struct ring *r = open_made(&m, RING_FROM_OLDEST);
		made_set_head(&m, i == 0 ? 0 : i == 1 ? UINT64_MAX : 1ull << 50);
		assert_int_equal(ring_read(r, 100, note, &s), -EBADMSG);
		made_set_head(&m, 1);
		assert_int_equal(ring_read(r, 100, note, &s), -EBADMSG);
		assert_sums(r);
		ring_close(r);
		close(m.fd);
	}
	struct made m = made_ring(8);
	made_set_head(&m, UINT64_MAX);
	assert_refused(made_dup(&m), "the ring's head is absurd");
	close(m.fd);
}

static void what_is_not_a_sealed_plain_memfd_of_the_right_size_is_refused(void **state)
{
	(void)state;
	static const char not_sealed[] = "the ring is not a sealed memfd";
	int pipe_fd[2];
	struct made m = made_unsealed(8, 4096 + 32 * 256);

	made_write_header(&m);
	assert_refused(made_dup(&m), not_sealed);
	made_seal(&m, F_SEAL_SHRINK |
			      F_SEAL_GROW); /* more seals may be set later, fine; but not ours */
	assert_refused(made_dup(&m), not_sealed);
	close(m.fd);
	assert_int_equal(pipe(pipe_fd), 0);
	assert_refused(pipe_fd[0], not_sealed);
	close(pipe_fd[1]);
	assert_refused(open("/dev/null", O_RDWR), not_sealed);
	assert_refused(open(".", O_RDONLY | O_DIRECTORY), not_sealed);
	assert_refused(open(".", O_PATH), not_sealed);

	static const long sizes[] = {4096 + 32 * 256 - 1, 4096 + 32 * 256 + 4096, 4096, 1l << 40};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		m = made_unsealed(8, sizes[i]);
		made_write_header(&m);
		made_seal(&m, ALL_SEALS);
		assert_refused(made_dup(&m), "the ring's size is not what its header says");
		close(m.fd);
	}
	m = made_unsealed(8, 100);
	made_seal(&m, ALL_SEALS);
	assert_refused(made_dup(&m), "the ring is shorter than its header");
	close(m.fd);
}

static void every_field_of_the_header_is_checked(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	const struct lsc_ring_header good = m.header;
	struct lsc_err err;
	struct ring *r;

#define BAD(field, value, text)                                                                    \
	do {                                                                                       \
		m.header = good;                                                                   \
		m.header.field = (value);                                                          \
		made_write_header(&m);                                                             \
		assert_refused(made_dup(&m), text);                                                \
	} while (0)
	BAD(magic, 0, "the ring has no magic");
	BAD(version, 2, "the ring is of version 2, this loopscope reads 1");
	BAD(header_size, 4097, "the ring's size is not what its header says");
	BAD(record_size, 0, "the ring's size is not what its header says");
	BAD(record_bits, 9, "the ring's size is not what its header says");
	BAD(record_bits, UINT32_MAX, "the ring's size is not what its header says");
	BAD(record_bits, 64 + 8, "the ring's size is not what its header says");
	BAD(pid, 0, "the ring names no process");
	BAD(tid, UINT32_MAX, "the ring names no process");
	BAD(current_offset, 0, "the ring's current task is nowhere");
	BAD(current_addr, 0, "the ring's current task is nowhere");
	BAD(current_addr, 0xffffffff81000000, "the ring's current task is nowhere");
	BAD(current_addr, 0x7f0000000809, "the ring's current task is nowhere");
	BAD(clock, 2, "the ring's clock cannot be read");
	BAD(mono0_ns, UINT64_MAX, "the ring's clock cannot be read");
	m.header = good;
	memset(m.header.runtime, 'x', sizeof(m.header.runtime));
	made_write_header(&m);
	assert_int_equal(ring_open_fd(made_dup(&m), RING_FROM_NOW, &r, &err), 0);
	assert_int_equal(strlen(ring_info(r)->runtime), 31);
	ring_close(r);
	close(m.fd);
}

static void an_absurd_tsc_rate_ends_the_ring(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct seen s = {0};
	struct ring *r;

	m.header.clock = LSC_CLOCK_TSC;
	m.header.tsc0 = UINT64_MAX;
	m.header.mono0_ns = lsc_now_ns() - LSC_NS_PER_S;
	made_write_header(&m);
	int e = ring_open_fd(made_dup(&m), RING_FROM_OLDEST, &r, NULL);
	if (!e) { /* other machines than x86-64 have no TSC and say so at once */
		assert_int_equal(ring_read(r, 10, note, &s), -EBADMSG);
		ring_close(r);
	} else {
		assert_int_equal(e, -EPROTO);
	}
	close(m.fd);
}

static void a_punched_hole_is_invalid_records(void **state)
{
	(void)state;
	struct made m = made_ring(8);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct seen s = {0};

	for (int i = 0; i < 200; i++)
		made_put(&m, (struct lsc_record){.kind = LSC_REC_TICK_BEGIN});
	assert_int_equal(fallocate(m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096),
			 0);
	assert_int_equal(ring_read(r, 1000, note, &s), 200);
	assert_int_equal(ring_ledger(r).invalid, 128);
	assert_int_equal(s.n, 72);
	assert_sums(r);
	ring_close(r);
	close(m.fd);
}

static void count_task(struct ring_task *t, void *arg)
{
	assert_true(t->id != 0);
	++*(uint64_t *)arg;
}

static void check_tick(const struct ring_tick *tick, void *arg)
{
	(void)arg;
	assert_true(tick->end_ns >= tick->begin_ns);
	assert_true(tick->nculprits <= tick->ntasks);
	for (size_t i = 1; i < tick->nculprits; i++)
		assert_true(tick->culprits[i - 1].ns >= tick->culprits[i].ns);
}

static void check_span(struct ring_task *t, uint64_t from, uint64_t to, void *arg)
{
	(void)t;
	(void)arg;
	assert_true(from && from <= to);
}

static void feed(const struct ring_record *rec, void *arg)
{
	assert_true(rec->kind && rec->kind <= LSC_REC_LAST && rec->kind != LSC_REC_TEXT);
	assert_true(rec->text_size <= LSC_TEXT_MAX);
	ring_track_feed(arg, rec);
}

static void a_million_random_records_break_nothing_and_the_ledger_sums(void **state)
{
	(void)state;
	static const struct ring_track_ops ops = {.task_gone = count_task,
						  .tick = check_tick,
						  .step = check_span,
						  .ready_wait = check_span};
	uint64_t seed = made_seed(), gone = 0, written = 0;
	struct made m = made_ring(12);
	struct ring *r = open_made(&m, RING_FROM_OLDEST);
	struct ring_track *k = ring_track_new(&ops, &gone);
	struct lsc_record *slots =
		mmap(NULL, 4096 + 32 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);

	assert_true(k && slots != MAP_FAILED);
	slots += 4096 / 32;
	while (written < 1000000) {
		uint64_t burst = made_random(&seed) % 5000, now = lsc_now_ns();
		for (uint64_t i = 0; i < burst; i++, written++) {
			struct lsc_record rec;
			for (int w = 0; w < 4; w++)
				((uint64_t *)&rec)[w] = made_random(&seed);
			if (written % 8) { /* mostly almost right */
				rec.seq = written + 1;
				rec.time = now;
				rec.kind %= 16;
				rec.task %= written % 3 ? 50 : 100000;
				rec.arg8 %= 16;
				if (written % 5)
					rec.arg64 = now;
			}
			memcpy(&slots[written % 4096], &rec, sizeof(rec));
		}
		made_set_head(&m, written);
		uint64_t began = lsc_now_ns();
		assert_true(ring_read(r, 100000, feed, k) >= 0);
		assert_true(lsc_now_ns() - began < LSC_NS_PER_S);
		assert_sums(r);
	}
	assert_int_equal(ring_ledger(r).emitted, written);
	assert_true(ring_ledger(r).overrun && ring_ledger(r).invalid && ring_ledger(r).delivered &&
		    gone);
	munmap(slots - 4096 / 32, 4096 + 32 * 4096);
	ring_track_free(k);
	ring_close(r);
	close(m.fd);
}

static int keep_fd(int fd, void *arg)
{
	int *found = arg;

	if (found[0] < 7)
		found[++found[0]] = fd;
	return 0;
}

static void rings_are_found_by_name_and_taken_through_a_pidfd(void **state)
{
	(void)state;
	int found[8] = {0}, other = memfd_create("something-else", 0);
	struct made a = made_ring(8), b = made_ring(9);
	struct ring *r;
	struct lsc_err err;
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	assert_true(pidfd >= 0);
	assert_int_equal(ring_scan(getpid(), keep_fd, found), 2);
	assert_int_equal(found[0], 2);
	assert_true((found[1] == a.fd && found[2] == b.fd) ||
		    (found[1] == b.fd && found[2] == a.fd));
	assert_int_equal(ring_open(pidfd, a.fd, RING_FROM_NOW, &r, &err), 0);
	assert_int_equal(ring_info(r)->slots, 256);
	struct stat st;
	assert_int_equal(fstat(a.fd, &st), 0);
	assert_int_equal(ring_info(r)->ino, st.st_ino);
	uint32_t word;
	assert_int_equal(ring_request_snapshot(r), 0);
	assert_int_equal(pread(a.fd, &word, 4, 3072), 4);
	assert_int_equal(word, 1);
	ring_close(r);
	assert_int_equal(ring_open(pidfd, 9999, RING_FROM_NOW, &r, &err), -EBADF);
	assert_int_equal(ring_scan(0x3fffffff, keep_fd, found), -ENOENT);
	close(pidfd);
	close(other);
	close(a.fd);
	close(b.fd);
}

static int count_call(int fd, void *arg)
{
	(void)fd;
	++*(int *)arg;
	return 0;
}

static void a_target_with_more_rings_than_it_can_need_is_not_looked_through(void **state)
{
	(void)state;
	static int fds[RING_FOUND_MAX + 1];
	struct rlimit files;
	int calls = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_max < RING_FOUND_MAX + 64) {
		print_message("skipped: a process may have no more than %llu descriptors\n",
			      (unsigned long long)files.rlim_max);
		skip();
	}
	for (size_t i = 0; i < LSC_ARRAY_LEN(fds); i++) {
		fds[i] = memfd_create(LSC_RING_MEMFD_NAME, MFD_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(ring_scan(getpid(), count_call, &calls), -E2BIG);
	assert_int_equal(calls, RING_FOUND_MAX);
	close(fds[0]);
	calls = 0;
	assert_int_equal(ring_scan(getpid(), count_call, &calls), RING_FOUND_MAX);
	assert_int_equal(calls, RING_FOUND_MAX);
	for (size_t i = 1; i < LSC_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_arrive_with_their_texts_and_the_ledger_sums),
		cmocka_unit_test(what_lies_before_the_attach_is_history_and_not_loss),
		cmocka_unit_test(overruns_and_invalid_records_are_counted_and_marked_as_gaps),
		cmocka_unit_test(times_that_go_backwards_are_held_and_counted),
		cmocka_unit_test(one_call_reads_no_more_than_it_was_told),
		cmocka_unit_test(heads_that_jump_or_go_back_end_the_ring),
		cmocka_unit_test(what_is_not_a_sealed_plain_memfd_of_the_right_size_is_refused),
		cmocka_unit_test(every_field_of_the_header_is_checked),
		cmocka_unit_test(an_absurd_tsc_rate_ends_the_ring),
		cmocka_unit_test(a_punched_hole_is_invalid_records),
		cmocka_unit_test(a_million_random_records_break_nothing_and_the_ledger_sums),
		cmocka_unit_test(rings_are_found_by_name_and_taken_through_a_pidfd),
		cmocka_unit_test(a_target_with_more_rings_than_it_can_need_is_not_looked_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
