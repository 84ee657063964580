/* SPDX-License-Identifier: MIT */
/*
 * Reads /proc of a target. No file of the target itself is opened here: those may hang or lie, and
 * belong to the inspector.
 */
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define FIRST_PID_NAMESPACE 4026531836u /* PROC_PID_INIT_INO, fixed since Linux 3.8 */
#define MAX_THREADS	    65536
#define PF_KTHREAD	    0x200000u /* in field 9 of /proc/PID/stat */

/* Reads a small /proc file into buf, NUL-terminated. The length or -errno. */
static int read_proc(const char *path, char *buf, size_t size)
{
	lsc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	size_t done = 0;
	while (done + 1 < size) {
		ssize_t n = read(fd, buf + done, size - 1 - done);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	buf[done] = '\0';
	return (int)done;
}

static int read_pid_file(int pid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return read_proc(path, buf, size);
}

/* A number of stat; the name in field 2 may hold anything, so count from its last ')'. */
static int stat_field(int pid, int wanted, uint64_t *ret_value)
{
	char buf[1024];
	int r = read_pid_file(pid, "stat", buf, sizeof(buf));

	if (r < 0)
		return r;
	char *p = strrchr(buf, ')');
	for (int field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EPROTO;
	*ret_value = strtoull(p + 1, NULL, 10);
	return 0;
}

/* When it started, by our clock; a start beyond its beginning is 0. */
static uint64_t started_ns(uint64_t start_ticks, uint64_t now)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	uint64_t boot = (uint64_t)up.tv_sec * LSC_NS_PER_S + (uint64_t)up.tv_nsec,
		 start = start_ticks * (LSC_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK)),
		 age = boot > start ? boot - start : 0;

	return now > age ? now - age : 0;
}

static int start_time(int pid, uint64_t *ret_ticks)
{
	return stat_field(pid, 22, ret_ticks);
}

bool target_thread_precedes(int tid, uint64_t ns)
{
	uint64_t ticks, now = lsc_now_ns();

	return start_time(tid, &ticks) == 0 && started_ns(ticks + 1, now) < ns;
}

/* The last number of a line "Key:\t1\t2\t3" in status: the innermost namespace's. */
static int status_last(const char *status, const char *key, int *ret_value)
{
	const char *p = strstr(status, key);

	if (!p)
		return -ENOENT;
	const char *end = strchr(p, '\n');
	const char *last = p;
	for (const char *q = p; q && (!end || q < end); q = strchr(q + 1, '\t'))
		last = q;
	*ret_value = atoi(last + 1);
	return 0;
}

static void describe_runtime(struct target *t)
{
	const char *base = strrchr(t->exe, '/');
	unsigned minor;

	base = base ? base + 1 : t->exe;
	t->runtime[0] = t->runtime_version[0] = '\0';
	if (!strncmp(base, "python3", 7) || !strcmp(base, "python")) {
		snprintf(t->runtime, sizeof(t->runtime), "cpython");
		if (sscanf(base, "python3.%u", &minor) == 1)
			snprintf(t->runtime_version, sizeof(t->runtime_version), "3.%u", minor);
	} else if (!strcmp(base, "node") || !strcmp(base, "nodejs")) {
		snprintf(t->runtime, sizeof(t->runtime), "node");
	} else if (!strncmp(base, "redis-", 6)) {
		snprintf(t->runtime, sizeof(t->runtime), "redis");
	} else if (!strcmp(base, "nginx")) {
		snprintf(t->runtime, sizeof(t->runtime), "nginx");
	}
}

bool target_is_python(const struct target *t)
{
	return !strcmp(t->runtime, "cpython");
}

const char *target_language(const struct target *t)
{
	return target_is_python(t) ? "Python" : !strcmp(t->runtime, "node") ? "JavaScript" : NULL;
}

void target_describe(struct target *t)
{
	char path[64];
	char buf[4096];

	if (read_pid_file(t->pid, "comm", t->comm, sizeof(t->comm)) > 0)
		t->comm[strcspn(t->comm, "\n")] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/exe", t->pid);
	ssize_t n = readlink(path, t->exe, sizeof(t->exe) - 1);
	t->exe[n > 0 ? n : 0] = '\0';
	if (read_pid_file(t->pid, "status", buf, sizeof(buf)) > 0)
		status_last(buf, "NSpid:", &t->ns_pid);
	if (read_pid_file(t->pid, "cgroup", buf, sizeof(buf)) > 0) {
		char *unified = strstr(buf, "0::");
		buf[strcspn(buf, "\n")] = '\0';
		snprintf(t->cgroup, sizeof(t->cgroup), "%.255s", unified ? unified + 3 : buf);
		t->cgroup[strcspn(t->cgroup, "\n")] = '\0';
	}
	describe_runtime(t);
}

static bool has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* What can be pinned and yet has no loop to watch: 0, or -ESRCH with the line that says so. */
static int refuse_lifeless(int pid, int pidfd, struct lsc_err *err)
{
	uint64_t flags;

	if (has_ended(pidfd))
		return lsc_err_set(err, -ESRCH,
				   "process %d has ended and waits for its parent (a zombie)", pid);
	if (stat_field(pid, 9, &flags) == 0 && flags & PF_KTHREAD)
		return lsc_err_set(err, -ESRCH,
				   "process %d is a thread of the kernel: it has no event loop",
				   pid);
	return 0;
}

int target_open(int pid, struct target *ret_target, struct lsc_err *err)
{
	struct target t = {.pid = pid, .pidfd = -1};
	uint64_t again;

	t.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t.pidfd < 0 && (errno == ESRCH || errno == EINVAL || errno == ENOENT))
		return lsc_err_set(err, -ESRCH, "no process %d%s", pid,
				   pid > 0 && !kill(pid, 0)
					   ? "; that is a thread's id: give its process's"
					   : "");
	if (t.pidfd < 0)
		return lsc_err_set(err, -errno, "cannot open process %d: %s", pid, strerror(errno));
	/* asked first: /proc may hide what belongs to others */
	if (syscall(SYS_pidfd_send_signal, t.pidfd, 0, NULL, 0) < 0 && errno == EPERM) {
		close(t.pidfd);
		return lsc_err_set(err, -EPERM, "process %d belongs to another user; run as root",
				   pid);
	}
	/* the number may have been reused between the two looks: same start, and still alive */
	if (start_time(pid, &t.start_ticks) < 0 || start_time(pid, &again) < 0 ||
	    again != t.start_ticks || syscall(SYS_pidfd_send_signal, t.pidfd, 0, NULL, 0) < 0) {
		close(t.pidfd);
		return lsc_err_set(err, -ESRCH, "process %d has just ended", pid);
	}
	int r = refuse_lifeless(pid, t.pidfd, err);
	if (r < 0) {
		target_close(&t);
		return r;
	}
	t.first_ns = t.last_ns = lsc_now_ns();
	t.young_ns = started_ns(t.start_ticks, t.first_ns);
	target_describe(&t);
	*ret_target = t;
	return 0;
}

void target_close(struct target *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	t->pidfd = -1;
}

bool target_has_ended(const struct target *t)
{
	return t->pidfd < 0 || has_ended(t->pidfd);
}

int target_proc_check(struct lsc_err *err)
{
	char self[32];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if (atoi(self) != getpid())
		return lsc_err_set(
			err, -EXDEV,
			"/proc is of another pid namespace than this process: a wrong process "
			"could be watched; mount the right /proc, or run on the host");
	return 0;
}

int target_namespace_check(struct lsc_err *err)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != FIRST_PID_NAMESPACE)
		return lsc_err_set(
			err, -EXDEV,
			"inside a pid namespace kernel events cannot be told apart by pid: run "
			"loopscope on the host, or use --require ring for programs with a ring");
	return 0;
}

static int parse_thread(int pid, int tid, struct target_thread *t)
{
	char path[64];
	char buf[512];
	unsigned long long v[8];

	t->at_ns = lsc_now_ns();
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	int r = read_proc(path, buf, sizeof(buf));
	if (r < 0)
		return r;
	if (!strncmp(buf, "running", 7)) {
		t->running = true;
		return 0;
	}
	t->nr = atoi(buf);
	if (t->nr < 0)
		return sscanf(buf, "%*d %llx %llx", &v[0], &v[1]) == 2
			       ? (t->sp = v[0], t->pc = v[1], 0)
			       : -EPROTO;
	if (sscanf(buf, "%*d %llx %llx %llx %llx %llx %llx %llx %llx", &v[0], &v[1], &v[2], &v[3],
		   &v[4], &v[5], &v[6], &v[7]) != 8)
		return -EPROTO;
	for (int i = 0; i < 6; i++)
		t->args[i] = v[i];
	t->sp = v[6];
	t->pc = v[7];
	return 0;
}

int target_each_thread(int pid, target_thread_fn *fn, void *arg)
{
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	if (!d)
		return -errno;
	for (struct dirent *e; n < MAX_THREADS && (e = readdir(d));) {
		struct target_thread t = {.tid = atoi(e->d_name), .nr = -1};
		if (t.tid <= 0 || parse_thread(pid, t.tid, &t) < 0)
			continue; /* gone meanwhile */
		n++;
		if (fn(&t, arg))
			break;
	}
	closedir(d);
	return n;
}

int target_parent(int pid)
{
	uint64_t parent;

	return stat_field(pid, 4, &parent) == 0 && parent <= INT32_MAX ? (int)parent : 0;
}

void target_each_child(int pid, target_child_fn *fn, void *arg)
{
	char path[300];
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, e->d_name);
		lsc_autofclose FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fscanf(f, "%d", &child) == 1)
			fn(child, arg);
	}
	if (d)
		closedir(d);
}

struct wanted_thread {
	int pid, ns_tid, tid;
	char comm[16];
};

static int is_wanted(const struct target_thread *t, void *arg)
{
	struct wanted_thread *w = arg;
	int ns_tid;

	if (target_thread_names(w->pid, t->tid, w->comm, &ns_tid) < 0 || ns_tid != w->ns_tid)
		return 0;
	w->tid = t->tid;
	return 1;
}

int target_find_thread(const struct target *t, int ns_tid, bool any, char ret_comm[16])
{
	struct wanted_thread w = {.pid = t->pid, .ns_tid = ns_tid};
	int r;

	if (target_thread_names(t->pid, ns_tid, ret_comm, &r) == 0 && r == ns_tid)
		return ns_tid;
	if (t->ns_pid == t->pid)
		return any && target_thread_names(ns_tid, ns_tid, ret_comm, &r) == 0 && r == ns_tid
			       ? ns_tid
			       : -ESRCH;
	target_each_thread(t->pid, is_wanted, &w);
	memcpy(ret_comm, w.comm, sizeof(w.comm));
	return w.tid ? w.tid : -ESRCH;
}

int target_thread_times(int pid, int tid, uint64_t *ret_runtime_ns, uint64_t *ret_delay_ns)
{
	unsigned long long runtime, delay;
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	int r = read_proc(path, buf, sizeof(buf));
	if (r < 0)
		return r;
	if (sscanf(buf, "%llu %llu", &runtime, &delay) != 2)
		return -EPROTO;
	*ret_runtime_ns = runtime;
	*ret_delay_ns = delay;
	return 0;
}

int target_thread_names(int pid, int tid, char ret_comm[16], int *ret_ns_tid)
{
	char path[64];
	char buf[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	int r = read_proc(path, buf, 17);
	if (r < 0)
		return r;
	buf[strcspn(buf, "\n")] = '\0';
	snprintf(ret_comm, 16, "%.15s", buf);
	if (!ret_ns_tid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	r = read_proc(path, buf, sizeof(buf));
	return r < 0 ? r : status_last(buf, "NSpid:", ret_ns_tid);
}
