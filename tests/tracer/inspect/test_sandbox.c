/* SPDX-License-Identifier: MIT */
/* What a process in the worker's sandbox gets when it tries all the same. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "inspect/sandbox.h"

static int room = -1; /* for an index */

/* Runs attempt in a sandbox; its wait status. */
static int in(int (*sandbox)(pid_t parent), int (*attempt)(void))
{
	pid_t parent = getpid(), pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(sandbox(parent) < 0 ? 99 : attempt());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int write_an_index(void)
{
	return pwrite(room, "x", 1, 0) == 1 && fcntl(room, F_ADD_SEALS, F_SEAL_WRITE) == 0 ? 0 : 1;
}

static int write_far_behind(void)
{
	return pwrite(room, "x", 1, 1ll << 40) < 0 ? errno : 0;
}

static int open_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int map_a_file(void)
{
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0) == MAP_FAILED ? errno : 0;
}

static int map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int map_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int make_code(void)
{
	static char page[8192];
	uintptr_t at = ((uintptr_t)page + 4095) & ~(uintptr_t)4095;

	return mprotect((void *)at, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

static int make_a_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static int run_a_program(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int fork_a_child(void)
{
	return (int)syscall(SYS_fork) < 0;
}

static int signal_the_parent(void)
{
	return kill(getppid(), 0);
}

static int trace_the_parent(void)
{
	return (int)syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0) < 0;
}

static char folder[] = "/tmp/sandbox-XXXXXX"; /* the fetcher's */

static int enter_as_fetcher(pid_t parent)
{
	lsc_autoclose int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : sandbox_fetcher(parent, fd);
}

static int use_the_internet(void)
{
	int families[] = {AF_INET, AF_INET6, AF_NETLINK};

	for (size_t i = 0; i < LSC_ARRAY_LEN(families); i++)
		if (socket(families[i], SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
			return errno;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int use_local_sockets(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT &&
			       socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT
		       ? EAFNOSUPPORT
		       : 0;
}

static int run_another(void)
{
	run_a_program();
	return errno;
}

static pid_t other = -1; /* a process of the same user */

static void start_other(void)
{
	pid_t parent = getpid();
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	other = fork();
	assert_true(other >= 0);
	if (other == 0) {
		/* in this order: another user is not killed with its parent any more */
		if ((geteuid() == 0 &&
		     setresuid(SANDBOX_NOBODY, SANDBOX_NOBODY, SANDBOX_NOBODY) < 0) ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* The error that all of them end with, 0 if one succeeds or they differ. */
static int error_of_all(const long calls[][6], size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n; i++) {
		const long *c = calls[i];
		if (syscall(c[0], c[1], c[2], c[3], c[4], c[5]) >= 0 || (error && errno != error)) {
			fprintf(stderr, "system call %ld is not refused as the others are\n", c[0]);
			return 0;
		}
		error = errno;
	}
	return error;
}

static int signal_another(void)
{
	static siginfo_t info = {.si_code = SI_QUEUE};
	const long calls[][6] = {
		{SYS_kill, other, SIGURG},
		{SYS_tkill, other, SIGURG},
		{SYS_tgkill, other, other, SIGURG},
		{SYS_rt_sigqueueinfo, other, SIGURG, (long)&info},
		{SYS_rt_tgsigqueueinfo, other, other, SIGURG, (long)&info},
	};

	return error_of_all(calls, LSC_ARRAY_LEN(calls));
}

static int restrain_another(void)
{
	static struct rlimit none;
	static struct sched_param idle;
	static unsigned long one = 1;
	const long calls[][6] = {
		{SYS_prlimit64, other, RLIMIT_NPROC, (long)&none},
		{SYS_sched_setaffinity, other, sizeof(one), (long)&one},
		{SYS_sched_setscheduler, other, SCHED_IDLE, (long)&idle},
		{SYS_setpriority, PRIO_PROCESS, other, 19},
	};

	return error_of_all(calls, LSC_ARRAY_LEN(calls));
}

/* What would be there when the keeper has ended it. */
static int leave_a_child(void)
{
	const long calls[][6] = {{SYS_fork}, {SYS_vfork}, {SYS_clone, SIGCHLD}};

	return error_of_all(calls, LSC_ARRAY_LEN(calls));
}

static void *do_nothing(void *arg)
{
	return arg;
}

static int start_a_thread_and_signal_it(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, do_nothing, NULL);

	if (r == 0)
		r = pthread_join(thread, NULL);
	return r ? r : pthread_kill(pthread_self(), 0);
}

static int read_another(void)
{
	return syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0) < 0 ? errno : 0;
}

static int open_in(const char *path, int flags)
{
	lsc_autoclose int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? errno : 0;
}

static int open_memory_of_the_parent(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	return open_in(path, O_RDONLY);
}

static int write_in_its_folder(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/file", folder);
	int r = open_in(path, O_CREAT | O_WRONLY);
	return r ? r : unlink(path) < 0 ? errno : 0;
}

static int write_elsewhere(void)
{
	return open_in("/tmp/sandbox-elsewhere", O_CREAT | O_WRONLY);
}

static int (*const sandboxes[])(pid_t) = {sandbox_worker, sandbox_indexer};

static void files_and_code_are_refused(void **state)
{
	(void)state;
	int (*const refused[])(void) = {open_a_file, map_a_file, map_code};

	for (size_t i = 0; i < 2 * LSC_ARRAY_LEN(refused); i++) {
		int status = in(sandboxes[i % 2], refused[i / 2]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), EACCES);
	}
}

static void what_it_has_no_business_with_kills_it(void **state)
{
	(void)state;
	int (*const deadly[])(void) = {make_code,    make_a_socket,	run_a_program,
				       fork_a_child, signal_the_parent, trace_the_parent};

	for (size_t i = 0; i < 2 * LSC_ARRAY_LEN(deadly); i++) {
		int status = in(sandboxes[i % 2], deadly[i / 2]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void memory_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(in(sandbox_worker, map_memory), 0);
	assert_int_equal(in(sandbox_indexer, map_memory), 0);
}

static void an_index_is_written_by_an_indexer_alone_and_bounded(void **state)
{
	(void)state;
	room = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(room >= 0);
	int status = in(sandbox_worker, write_an_index);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = in(sandbox_indexer, write_far_behind);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	assert_int_equal(in(sandbox_indexer, write_an_index), 0);
	assert_true(fcntl(room, F_GET_SEALS) & F_SEAL_WRITE);
	close(room);
}

static void a_fetcher_has_the_internet_and_its_folder_and_nobody_else(void **state)
{
	static const struct {
		int (*attempt)(void);
		int status;
	} all[] = {
		{use_the_internet, 0},
		{open_a_file, 0}, /* the system's own */
		{write_in_its_folder, 0},
		{use_local_sockets, EAFNOSUPPORT},
		{run_another, EPERM},
		{signal_another, EPERM},
		{restrain_another, EPERM},
		{leave_a_child, EPERM},
		{start_a_thread_and_signal_it, 0},
		{read_another, EPERM},
		{open_memory_of_the_parent, EACCES},
		{write_elsewhere, EACCES},
	};

	(void)state;
	assert_non_null(mkdtemp(folder));
	start_other();
	if (geteuid() == 0)
		assert_int_equal(chown(folder, SANDBOX_NOBODY, SANDBOX_NOBODY), 0);
	for (size_t i = 0; i < LSC_ARRAY_LEN(all); i++) {
		int status = in(enter_as_fetcher, all[i].attempt);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), all[i].status);
	}
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_code_are_refused),
		cmocka_unit_test(what_it_has_no_business_with_kills_it),
		cmocka_unit_test(memory_is_allowed),
		cmocka_unit_test(an_index_is_written_by_an_indexer_alone_and_bounded),
		cmocka_unit_test(a_fetcher_has_the_internet_and_its_folder_and_nobody_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
