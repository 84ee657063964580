/* SPDX-License-Identifier: MIT */
/* What a process in the worker's sandbox gets when it tries all the same. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "inspect/sandbox.h"

/* Runs attempt in the sandbox; its wait status. */
static int in_sandbox(int (*attempt)(void))
{
	pid_t parent = getpid(), pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(sandbox_worker(parent) < 0 ? 99 : attempt());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
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

static void files_and_code_are_refused(void **state)
{
	(void)state;
	int (*const refused[])(void) = {open_a_file, map_a_file, map_code};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int status = in_sandbox(refused[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), EACCES);
	}
}

static void what_it_has_no_business_with_kills_it(void **state)
{
	(void)state;
	int (*const deadly[])(void) = {make_code,    make_a_socket,	run_a_program,
				       fork_a_child, signal_the_parent, trace_the_parent};

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
		int status = in_sandbox(deadly[i]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void memory_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(map_memory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_code_are_refused),
		cmocka_unit_test(what_it_has_no_business_with_kills_it),
		cmocka_unit_test(memory_is_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
