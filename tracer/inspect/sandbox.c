/* SPDX-License-Identifier: MIT */
/*
 * Takes privileges away from the broker (some) and from the worker (all). A worker that a hostile
 * ELF file takes over can burn its own CPU time and answer nonsense, no more.
 */
#include "inspect/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/index.h"
#include "inspect/sidefile.h"

#define MEMORY_MAX (1ull << 30)
#define CPU_S_MAX  3600 /* a backstop: deadlines end a spinning worker much earlier */
#define FILES_MAX                                                                                  \
	34000 /* MESSAGE_SLOTS * (256 indexes * 2 + memory), twice while one is replaced */

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

/* Keeps the capabilities in mask that are there, in the permitted and effective sets. */
static int keep_capabilities(uint64_t mask)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t part = (uint32_t)(mask >> (32 * i));
		data[i].permitted &= part;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int sandbox_bind(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int sandbox_broker(pid_t parent)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* PTRACE: maps, mem, root. DAC_READ_SEARCH: files of any mode. CHECKPOINT_RESTORE:
	 * map_files. */
	int r = keep_capabilities(1ull << CAP_SYS_PTRACE | 1ull << CAP_DAC_READ_SEARCH |
				  1ull << CAP_CHECKPOINT_RESTORE);
	return r < 0 ? r : sandbox_bind(parent);
}

static int become_nobody(void)
{
	if (geteuid() == 0) {
		if (setgroups(0, NULL) < 0 && errno != EPERM)
			return -errno;
		/* EINVAL: a user namespace that does not map nobody. The rest still holds. */
		if (setresgid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) < 0 &&
		    errno != EINVAL)
			return -errno;
		if (setresuid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	return keep_capabilities(0);
}

static int set_limits(rlim_t file_size)
{
	const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{RLIMIT_AS, SANDBOX_SANITIZED ? RLIM_INFINITY : MEMORY_MAX},
		{RLIMIT_CPU, CPU_S_MAX},
		{RLIMIT_FSIZE, file_size},
		{RLIMIT_CORE, 0},
		{RLIMIT_NOFILE, FILES_MAX},
	};

	for (size_t i = 0; i < LSC_ARRAY_LEN(limits); i++) {
		struct rlimit r;
		if (getrlimit((__rlimit_resource_t)limits[i].what, &r) < 0)
			return -errno;
		if (limits[i].value < r.rlim_max)
			r.rlim_max = limits[i].value;
		r.rlim_cur = r.rlim_max;
		if (setrlimit((__rlimit_resource_t)limits[i].what, &r) < 0)
			return -errno;
	}
	return 0;
}

/* What lies below a folder may be used so. Borrows fd. */
static int allow_below(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr below = {.allowed_access = access, .parent_fd = fd};

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0
		       ? -errno
		       : 0;
}

/* Where a name server, a certificate and a library are found. */
static int allow_system(int ruleset)
{
	static const char *const folders[] = {"/etc", "/usr", "/lib", "/lib64", "/run"};
	int r = 0;

	for (size_t i = 0; i < LSC_ARRAY_LEN(folders) && r == 0; i++) {
		lsc_autoclose int fd = open(folders[i], O_PATH | O_CLOEXEC);
		if (fd >= 0)
			r = allow_below(ruleset, fd,
					LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
	}
	return r;
}

/* Denies the whole file system, a second time beside seccomp, or all but the system's own and one
 * folder. Kernels without Landlock go without. */
static int deny_files(int folder)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs =
						     (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	lsc_autoclose int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (fd < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	int r = folder < 0 ? 0 : allow_system(fd);
	if (r == 0 && folder >= 0)
		r = allow_below(fd, folder,
				LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
					LANDLOCK_ACCESS_FS_WRITE_FILE |
					LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
					LANDLOCK_ACCESS_FS_REMOVE_FILE |
					LANDLOCK_ACCESS_FS_REMOVE_DIR);
	if (r < 0)
		return r;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

static int add_rules(scmp_filter_ctx c)
{
	static const int allowed[] = {
		SCMP_SYS(read),
		SCMP_SYS(pread64),
		SCMP_SYS(lseek),
		SCMP_SYS(fstat),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(brk),
		SCMP_SYS(madvise),
		SCMP_SYS(close),
		SCMP_SYS(dup),
		SCMP_SYS(poll),
		SCMP_SYS(recvmsg),
		SCMP_SYS(sendmsg),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(futex),
		SCMP_SYS(getrandom),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(restart_syscall), /* poll() goes on after a stop */
		SCMP_SYS(sysinfo),	   /* qsort() asks for the size of the memory */
#if SANDBOX_SANITIZED
		SCMP_SYS(write),
		SCMP_SYS(sigaltstack),
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(sched_yield),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction),
#endif
	};
	/* libelf and libdw try these and do without. */
	static const int refused[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(readlink),
				      SCMP_SYS(readlinkat)};
	/* Memory, never a file: a target that cuts the file would send SIGBUS; libelf reads
	 * instead. fstat() is newfstatat() with an empty path; others meet Landlock. */
	const struct scmp_arg_cmp exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp memory =
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS);
	const struct scmp_arg_cmp file = SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0);
	const struct {
		uint32_t action;
		int call;
		unsigned int count;
		struct scmp_arg_cmp args[2];
	} by_argument[] = {
		{SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, {no_exec, memory}},
		{SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mmap), 2, {no_exec, file}},
		{SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mmap), 1, {exec}},
		{SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, {no_exec}},
		{SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, {SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH)}},
		{SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, {SCMP_A1(SCMP_CMP_EQ, F_GETFD)}},
		{SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(fcntl), 1, {SCMP_A1(SCMP_CMP_NE, F_GETFD)}},
	};
	int r = 0;

	for (size_t i = 0; i < LSC_ARRAY_LEN(allowed) && r == 0; i++)
		r = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < LSC_ARRAY_LEN(refused) && r == 0; i++)
		r = seccomp_rule_add(c, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
	for (size_t i = 0; i < LSC_ARRAY_LEN(by_argument) && r == 0; i++)
		r = seccomp_rule_add_array(c, by_argument[i].action, by_argument[i].call,
					   by_argument[i].count, by_argument[i].args);
	return r;
}

/* The same; to write an index, and to seal it. */
static int add_writing(scmp_filter_ctx c)
{
	const struct scmp_arg_cmp seal = SCMP_A1(SCMP_CMP_EQ, F_ADD_SEALS);
	int r = add_rules(c);

	if (r == 0)
		r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(pwrite64), 0);
	return r < 0 ? r : seccomp_rule_add_array(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, &seal);
}

/* Of the fetcher: its libraries need more calls than can be listed, so that those are listed which
 * reach or start another process, the kernel's own tables, or this machine's sockets. */
static int add_refusals(scmp_filter_ctx c)
{
	static const int refused[] = {
		SCMP_SYS(execve),
		SCMP_SYS(execveat),
		SCMP_SYS(ptrace),
		SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev),
		SCMP_SYS(pidfd_open),
		SCMP_SYS(pidfd_getfd),
		SCMP_SYS(kcmp),
		SCMP_SYS(kill),
		SCMP_SYS(tkill),
		SCMP_SYS(rt_sigqueueinfo),
		SCMP_SYS(rt_tgsigqueueinfo),
		SCMP_SYS(pidfd_send_signal),
		SCMP_SYS(setpriority),
		SCMP_SYS(ioprio_set),
		SCMP_SYS(sched_setattr),
		SCMP_SYS(sched_setparam),
		SCMP_SYS(sched_setscheduler),
		SCMP_SYS(sched_setaffinity),
		SCMP_SYS(process_madvise),
		SCMP_SYS(move_pages),
		SCMP_SYS(migrate_pages),
		SCMP_SYS(fork),
		SCMP_SYS(vfork),
		SCMP_SYS(bpf),
		SCMP_SYS(perf_event_open),
		SCMP_SYS(userfaultfd),
		SCMP_SYS(io_uring_setup),
		SCMP_SYS(unshare),
		SCMP_SYS(setns),
		SCMP_SYS(mount),
		SCMP_SYS(umount2),
		SCMP_SYS(add_key),
		SCMP_SYS(request_key),
		SCMP_SYS(keyctl),
		SCMP_SYS(symlinkat),
		SCMP_SYS(symlink),
		SCMP_SYS(link),
		SCMP_SYS(linkat),
		SCMP_SYS(listen),
		SCMP_SYS(accept),
		SCMP_SYS(accept4),
	};
	const uint32_t deny = SCMP_ACT_ERRNO(EPERM), absent = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	/* itself may be meant, and its threads */
	const struct {
		int call;
		struct scmp_arg_cmp other;
	} by_argument[] = {
		{SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())},
		{SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_NE, 0)},
		{SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)},
	};
	int r = 0;

	for (size_t i = 0; i < LSC_ARRAY_LEN(refused) && r == 0; i++)
		r = seccomp_rule_add(c, deny, refused[i], 0);
	for (size_t i = 0; i < LSC_ARRAY_LEN(by_argument) && r == 0; i++)
		r = seccomp_rule_add_array(c, deny, by_argument[i].call, 1, &by_argument[i].other);
	/* its flags lie in memory: the C library does with clone() then */
	if (r == 0)
		r = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* netlink: the resolver asks it which addresses are ours */
	for (unsigned int family = 0; family < AF_MAX && r == 0; family++)
		if (family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
			r = seccomp_rule_add(c, absent, SCMP_SYS(socket), 1,
					     SCMP_A0(SCMP_CMP_EQ, family));
	return r < 0 ? r
		     : seccomp_rule_add(c, absent, SCMP_SYS(socket), 1,
					SCMP_A0(SCMP_CMP_GE, AF_MAX));
}

typedef int add_rules_fn(scmp_filter_ctx c);

/* Loads what the rules make of a filter that does otherwise with every call. */
static int filter_calls(uint32_t otherwise, add_rules_fn *add)
{
	scmp_filter_ctx c = seccomp_init(otherwise);

	if (!c)
		return -ENOMEM;
	int r = add(c);
	if (r == 0)
		r = seccomp_load(c);
	seccomp_release(c);
	return r;
}

/* All but the filter. folder: see deny_files(). */
static int enter(pid_t parent, rlim_t file_size, int folder)
{
	int r = become_nobody();

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_limits(file_size);
	if (r == 0)
		r = deny_files(folder);
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	return r < 0 ? r : sandbox_bind(parent);
}

int sandbox_worker(pid_t parent)
{
	int r = enter(parent, 0, -1);

	return r < 0 ? r : filter_calls(SCMP_ACT_KILL_PROCESS, add_rules);
}

int sandbox_indexer(pid_t parent)
{
	int r = enter(parent, INDEX_BYTES_MAX, -1);

	return r < 0 ? r : filter_calls(SCMP_ACT_KILL_PROCESS, add_writing);
}

int sandbox_fetcher(pid_t parent, int folder)
{
	int r = enter(parent, SIDEFILE_DEBUG_MAX, folder);

	return r < 0 ? r : filter_calls(SCMP_ACT_ALLOW, add_refusals);
}
