/* SPDX-License-Identifier: MIT */
/*
 * What a record in the ring costs: back to back, and inside some 60 ns of work in which each step
 * needs the last one's result, as most code that a record stands in; recording off, on, and on with
 * a reader that polls each millisecond on another CPU. records_lttng.c does the same with LTTng.
 */
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "measure.h"
#include "ring.h"

#define CALLS	10000 /* a round is shorter than a time slice */
#define WORK_NS 60

static unsigned steps; /* of WORK_NS */
static uint64_t state = 1;

static inline void work(void)
{
	for (unsigned i = 0; i < steps; i++) {
		state = state * 6364136223846793005u + 1;
		__asm__ volatile("" : "+r"(state));
	}
}

static void put_records(void *arg)
{
	for (uint32_t i = 0; i < CALLS; i++)
		ring_put(arg, LSC_REC_TASK_RUN, 0, 0, i, 0);
}

static void work_alone(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < CALLS; i++)
		work();
}

static void work_and_record(void *arg)
{
	for (uint32_t i = 0; i < CALLS; i++) {
		work();
		ring_put(arg, LSC_REC_TASK_RUN, 0, 0, i, 0);
	}
}

/* Steps that take WORK_NS: of the quickest of some tries. */
static void calibrate(void)
{
	uint64_t best_ns = UINT64_MAX;

	steps = 100;
	for (int i = 0; i < 20; i++) {
		uint64_t begin_ns = lsc_now_ns();
		work_alone(NULL);
		uint64_t ns = lsc_now_ns() - begin_ns;
		best_ns = ns < best_ns ? ns : best_ns;
	}
	steps = (unsigned)(100.0 * WORK_NS * CALLS / (double)best_ns + 0.5);
}

/* ---- the reader ---- */

static void leave_cpu_of_parent(int cpu)
{
	cpu_set_t all;

	CPU_ZERO(&all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (i != cpu)
			CPU_SET(i, &all);
	if (sched_setaffinity(0, sizeof(all), &all) < 0)
		fputs("# one CPU alone: the reader takes turns with what it reads\n", stderr);
}

/* Copies all that is new, each millisecond, as the tracer does. */
static _Noreturn void read_ring(int fd)
{
	static char slots[65536];
	uint64_t head, seen = 0, mask = (1u << RING_DEFAULT_BITS) - 1;

	for (;;) {
		if (pread(fd, &head, sizeof(head), offsetof(struct lsc_ring_header, head)) !=
		    sizeof(head))
			_exit(1);
		if (head - seen > mask)
			seen = head - mask;
		while (seen < head) {
			uint64_t at = seen & mask, n = head - seen;

			n = n < mask + 1 - at ? n : mask + 1 - at;
			n = n < sizeof(slots) / LSC_RECORD_SIZE ? n
								: sizeof(slots) / LSC_RECORD_SIZE;
			if (pread(fd, slots, n * LSC_RECORD_SIZE,
				  (off_t)(LSC_RING_HEADER_SIZE + at * LSC_RECORD_SIZE)) < 0)
				_exit(1);
			seen += n;
		}
		usleep(1000);
	}
}

static pid_t start_reader(int fd)
{
	int cpu = sched_getcpu();
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	leave_cpu_of_parent(cpu);
	read_ring(fd);
}

/* ---- */

static void bench(const char *how, const char *trace)
{
	struct ring ring;
	char name[40];

	setenv("LSC_TRACE", trace, 1);
	ring_open(&ring, RING_DEFAULT_BITS);
	if ((ring.fd >= 0) != (trace[0] == '1')) {
		printf("# recording %s: no ring can be had here\n", how);
		return;
	}
	snprintf(name, sizeof(name), "record_%s", how);
	measure(name, put_records, &ring, CALLS);
	snprintf(name, sizeof(name), "record_in_work_%s", how);
	measure_added(name, work_alone, work_and_record, &ring, CALLS);
	if (ring.fd >= 0 && measure_wants("record_in_work_read")) {
		pid_t reader = start_reader(ring.fd);

		if (reader < 0)
			abort();
		measure_added("record_in_work_read", work_alone, work_and_record, &ring, CALLS);
		if (waitpid(reader, NULL, WNOHANG) != 0)
			puts("# the reader has failed: record_in_work_read had none");
		kill(reader, SIGKILL);
		waitpid(reader, NULL, 0);
	}
	ring_close(&ring);
}

int main(int argc, char **argv)
{
	measure_choose(argc, argv);
	calibrate();
	measure("work", work_alone, NULL, CALLS);
	bench("off", "0");
	bench("on", "1");
	return 0;
}
