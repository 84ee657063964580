/* SPDX-License-Identifier: MIT */
/*
 * A loop that runs code it has just made. A line of input is WAIT BLOCK NAME, in ms: code is mapped
 * and named in /tmp/perf-PID.map; WAIT later, in a turn of its own, it is called and blocks for
 * BLOCK. The answer is that time by this program's clock, as JSON. The map is there from the
 * beginning on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096
#define AT	64 /* in the page */
#define TURN_MS 20

typedef void code_fn(unsigned int ms);

static FILE *map;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void sleep_ms(unsigned int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void block(unsigned int ms)
{
	sleep_ms(ms);
}

/* push %rbp; mov %rsp, %rbp; movabs $block, %rax; call *%rax; pop %rbp; ret */
static code_fn *make_code(const char *name)
{
	unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0,	  0,	0,
				0,    0,    0,	  0,	0,    0xff, 0xd0, 0x5d, 0xc3};
	code_fn *const next = block;
	code_fn *made;
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED, "mmap");
	memcpy(code + 6, &next, sizeof(next));
	memcpy(at + AT, code, sizeof(code));
	must(mprotect(at, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
	at += AT;
	memcpy(&made, &at, sizeof(made));
	fprintf(map, "%lx %zx %s\n", (unsigned long)at, sizeof(code), name);
	must(fflush(map) == 0, "perf map");
	return made;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct {
	code_fn *code; /* NULL: none waits */
	unsigned int wait_ms, block_ms;
} order;

static void take_order(void)
{
	char line[256], name[200];

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	must(sscanf(line, "%u %u %199[^\n]", &order.wait_ms, &order.block_ms, name) == 3,
	     "an order");
	order.code = make_code(name);
}

static void obey(void)
{
	uint64_t begin = now_ns();

	order.code(order.block_ms);
	order.code = NULL;
	printf("{\"ns\": %llu}\n", (unsigned long long)(now_ns() - begin));
	fflush(stdout);
}

int main(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int epoll = epoll_create1(0);
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	map = fopen(path, "w");
	must(map && epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &e) == 0, path);
	setvbuf(stdin, NULL, _IONBF, 0);
	puts("running");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, &e, 1, order.code ? (int)order.wait_ms : TURN_MS);
		if (n > 0)
			take_order();
		else if (order.code)
			obey();
	}
}
