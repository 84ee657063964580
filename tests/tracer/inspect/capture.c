/* SPDX-License-Identifier: MIT */
/* ptrace stands for BPF here: the inspector sees the same registers and bytes. */
#include "capture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define PATIENCE_NS (20 * LSC_NS_PER_S)

static pid_t spawn(char *const argv[], int out)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	int null = open("/dev/null", O_RDWR);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(out >= 0 ? out : null, 1);
	dup2(null, 2);
	execv(argv[0], argv);
	_exit(127);
}

pid_t capture_spawn(char *const argv[])
{
	return spawn(argv, -1);
}

void capture_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void capture_await_ready(int ready)
{
	char byte;

	assert_int_equal(read(ready, &byte, 1), 1);
}

pid_t capture_spawn_nest(const char *path, const char *map_file, int *ret_ready)
{
	char *argv[] = {getenv("NEST"), (char *)path, (char *)map_file, NULL};
	int ready[2];

	assert_non_null(argv[0]);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = spawn(argv, ready[1]);
	close(ready[1]);
	capture_await_ready(ready[0]);
	if (ret_ready)
		*ret_ready = ready[0];
	else
		close(ready[0]);
	return pid;
}

void capture_copy_libraries(const char *root)
{
	char line[1024];
	int n = snprintf(line, sizeof(line),
			 "cd '%s' && ldd '%s' | grep -o '/[^ ]*' | while read -r l; do"
			 " mkdir -p \".${l%%/*}\" && cp -L \"$l\" \".$l\"; done",
			 root, getenv("NEST"));

	assert_in_range(n, 1, sizeof(line) - 1);
	assert_int_equal(system(line), 0);
}

static void copy_stack(pid_t pid, struct capture *ret)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	lsc_autoclose int mem = open(name, O_RDONLY | O_CLOEXEC);
	assert_true(mem >= 0);
	ret->size = 0;
	/* Page by page: the copy may reach over the stack's end. */
	while (ret->size < sizeof(ret->stack)) {
		uint64_t at = ret->regs[7] - INSPECTOR_RED_ZONE + ret->size;
		size_t n = 4096 - at % 4096;
		if (n > sizeof(ret->stack) - ret->size)
			n = sizeof(ret->stack) - ret->size;
		if (pread(mem, ret->stack + ret->size, n, (off_t)at) != (ssize_t)n)
			break;
		ret->size += n;
	}
	assert_true(ret->size > 0);
}

/* Stops pid, an attached process, and gives its registers. A signal that comes first is passed on.
 */
static void stop(pid_t pid, struct user_regs_struct *ret)
{
	int status;

	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	for (;;) {
		assert_int_equal(waitpid(pid, &status, __WALL), pid);
		assert_true(WIFSTOPPED(status));
		if (status >> 16 == PTRACE_EVENT_STOP)
			break;
		assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, (long)WSTOPSIG(status)), 0);
	}
	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, ret), 0);
}

static void take_when(pid_t pid, bool (*fits)(const struct user_regs_struct *r, const long *arg),
		      const long *arg, struct capture *ret)
{
	uint64_t end = lsc_now_ns() + PATIENCE_NS;
	struct user_regs_struct r;

	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	for (stop(pid, &r); !fits(&r, arg); stop(pid, &r)) {
		assert_true(lsc_now_ns() < end);
		ptrace(PTRACE_CONT, pid, NULL, NULL);
		poll(NULL, 0, 2); /* until it is there, on the condition above */
	}
	const uint64_t regs[INSPECTOR_REGS] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi,
					       r.rbp, r.rsp, r.r8,  r.r9,  r.r10, r.r11,
					       r.r12, r.r13, r.r14, r.r15, r.rip};
	memcpy(ret->regs, regs, sizeof(regs));
	ret->pid = ret->tid = pid;
	copy_stack(pid, ret);
	assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
}

static bool is_in_call(const struct user_regs_struct *r, const long *calls)
{
	return (long)r->orig_rax == calls[0] || (long)r->orig_rax == calls[1];
}

static bool is_in_range(const struct user_regs_struct *r, const long *range)
{
	return (long)r->rip >= range[0] && (long)r->rip < range[1];
}

void capture_take(pid_t pid, long call, long other_call, struct capture *ret)
{
	take_when(pid, is_in_call, (const long[]){call, other_call}, ret);
}

void capture_take_thread(pid_t pid, pid_t tid, long call, struct capture *ret)
{
	capture_take(tid, call, call, ret);
	ret->pid = pid;
}

void capture_take_within(pid_t pid, uint64_t start, uint64_t end, struct capture *ret)
{
	take_when(pid, is_in_range, (const long[]){(long)start, (long)end}, ret);
}

void capture_find_map(pid_t pid, const char *path, uint64_t *ret_start, uint64_t *ret_end)
{
	char name[64], line[512];
	unsigned long start, end;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	lsc_autofclose FILE *f = fopen(name, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, path) && strstr(line, "r-xp") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2) {
			*ret_start = start;
			*ret_end = end;
			return;
		}
	fail_msg("%d does not map %s", pid, path);
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

struct inspector *answers_start(struct answers *a, const struct inspector_options *options)
{
	const struct inspector_options patient = {.unwind_deadline_ns = 2 * LSC_NS_PER_S};
	struct inspector *ins;
	struct lsc_err err = {0};

	memset(a, 0, sizeof(*a));
	if (inspector_new(options ? options : &patient, answers_add, a, &ins, &err) < 0)
		fail_msg("%s", err.text);
	return ins;
}

void answers_add(const struct inspector_result *result, void *arg)
{
	struct answers *a = arg;
	struct answer_copy *l = &a->last;

	if (result->keeps)
		return; /* no answer yet */
	memset(l, 0, sizeof(*l));
	l->cookie = result->cookie;
	l->nframes = result->nframes;
	l->truncated = result->truncated;
	copy_text(l->why, sizeof(l->why), result->why);
	copy_text(l->language_why, sizeof(l->language_why), result->language_why);
	copy_text(l->debug_why, sizeof(l->debug_why), result->debug_why);
	copy_text(l->jit_why, sizeof(l->jit_why), result->jit_why);
	l->address = result->address;
	l->size = result->size;
	assert_true(result->nframes <= INSPECTOR_FRAMES_MAX);
	for (size_t i = 0; i < result->nframes; i++) {
		const struct inspector_frame *f = &result->frames[i];
		struct answer_frame_copy *c = &l->frames[i];
		copy_text(c->function, sizeof(c->function), f->function);
		copy_text(c->file, sizeof(c->file), f->file);
		copy_text(c->module, sizeof(c->module), f->module);
		copy_text(c->build_id, sizeof(c->build_id), f->build_id);
		c->line = f->line;
		c->offset = f->offset;
		c->exported = f->exported;
		c->inlined = f->inlined;
		c->python = f->python;
	}
	if (result->cookie < LSC_ARRAY_LEN(a->whys)) {
		assert_string_equal(a->whys[result->cookie], ""); /* exactly once */
		copy_text(a->whys[result->cookie], sizeof(a->whys[0]),
			  result->why ? result->why : "answered");
	}
	a->n++;
}

/* Only a dispatch that gave up the CPU by itself counts as slow, not one that was preempted. */
static void dispatch_timed(struct inspector *ins, struct answers *a)
{
	struct rusage before, after;
	uint64_t t = lsc_now_ns();

	getrusage(RUSAGE_THREAD, &before);
	inspector_dispatch(ins);
	getrusage(RUSAGE_THREAD, &after);
	t = lsc_now_ns() - t;
	if (after.ru_nvcsw != before.ru_nvcsw && t > a->slowest_dispatch_ns)
		a->slowest_dispatch_ns = t;
}

void answers_await(struct inspector *ins, struct answers *a, size_t n)
{
	uint64_t end = lsc_now_ns() + PATIENCE_NS;

	while (a->n < n) {
		uint64_t now = lsc_now_ns(), at = inspector_deadline_ns(ins);
		assert_true(now < end);
		if (at > end)
			at = end;
		struct pollfd p = {.fd = inspector_fd(ins), .events = POLLIN};
		poll(&p, 1, at <= now ? 0 : (int)((at - now) / LSC_NS_PER_MS) + 1);
		dispatch_timed(ins, a);
	}
}

void answers_ask(struct inspector *ins, struct answers *a, const struct capture *c)
{
	size_t n = a->n;

	assert_int_equal(inspector_unwind(ins, n, c->pid, c->tid, c->regs, c->stack, c->size), 0);
	answers_await(ins, a, n + 1);
	assert_int_equal(a->last.cookie, n);
}

bool answers_have(const struct answers *a, const char *function)
{
	for (size_t i = 0; i < a->last.nframes; i++)
		if (strcmp(a->last.frames[i].function, function) == 0)
			return true;
	return false;
}

void answers_print(const struct answers *a)
{
	print_message("%zu frames%s %s\n", a->last.nframes, a->last.truncated ? ", truncated" : "",
		      a->last.why);
	for (size_t i = 0; i < a->last.nframes; i++) {
		const struct answer_frame_copy *f = &a->last.frames[i];
		print_message("  %s (%s+0x%lx) %s:%d\n", f->function[0] ? f->function : "?",
			      f->module, (unsigned long)f->offset, f->file, f->line);
	}
}

pid_t find_second_thread(pid_t pid)
{
	char name[64];
	struct dirent *e;
	pid_t tid = 0;

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	DIR *d = opendir(name);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 0 && atoi(e->d_name) != pid)
			tid = atoi(e->d_name);
	closedir(d);
	assert_true(tid > 0);
	return tid;
}

int count_fds(pid_t pid)
{
	char name[64];
	int n = pid == getpid() ? -3 : -2; /* ".", ".." and the directory's own */

	snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	DIR *d = opendir(name);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

size_t capture_load(const char *path, unsigned char *buf, size_t size)
{
	lsc_autofclose FILE *f = fopen(path, "rb");

	assert_non_null(f);
	return fread(buf, 1, size, f);
}

void capture_store(const char *path, const unsigned char *buf, size_t size)
{
	lsc_autofclose FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(buf, 1, size, f), size);
	assert_int_equal(chmod(path, 0755), 0);
}
