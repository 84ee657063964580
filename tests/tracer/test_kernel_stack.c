/* SPDX-License-Identifier: MIT */
/* tracer/kernel_stack: the kernel's own text becomes frames, and no address gets through. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel_stack.h"

static struct kernel_stack k;

static int parse(const char *text)
{
	snprintf(k.text, sizeof(k.text), "%s", text);
	return kernel_stack_parse(&k);
}

static void functions_offsets_and_modules_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("[<0>] request_wait_answer+0x1c0/0x2d0 [fuse]\n"
			       "[<0>] do_syscall_64+0x71/0x280\n"),
			 0);
	assert_int_equal(k.nframes, 2);
	assert_string_equal(k.frames[0].function, "request_wait_answer");
	assert_string_equal(k.frames[0].module, "fuse");
	assert_int_equal(k.frames[0].offset, 0x1c0);
	assert_int_equal(k.frames[0].lang, STORE_LANG_KERNEL);
	assert_string_equal(k.frames[1].function, "do_syscall_64");
	assert_null(k.frames[1].module);
}

static void code_without_a_name_leaves_no_address(void **state)
{
	(void)state;
	assert_int_equal(parse("[<0>] 0xffffffffc0401234\n[<0>] vfs_read+0xbb/0x360\n"), 0);
	assert_int_equal(k.nframes, 2);
	assert_null(k.frames[0].function);
	assert_null(k.frames[0].module);
	assert_int_equal(k.frames[0].offset, 0);
}

static void what_is_no_stack_has_no_frames(void **state)
{
	(void)state;
	assert_int_equal(parse(""), -ENODATA);
	assert_int_equal(parse("\n\n[\n[<0>]\n[<0>] \n[<0>] +0x1/0x2\nnonsense\n"), -ENODATA);
	memset(k.text, '[', sizeof(k.text) - 1);
	assert_int_equal(kernel_stack_parse(&k), -ENODATA);
}

static void an_endless_stack_is_cut(void **state)
{
	(void)state;
	k.text[0] = '\0';
	for (int i = 0; i < 2 * KERNEL_FRAMES_MAX; i++)
		strcat(k.text, "[<0>] f+0x1/0x2\n");
	assert_int_equal(kernel_stack_parse(&k), 0);
	assert_int_equal(k.nframes, KERNEL_FRAMES_MAX);
}

static void the_kernel_tells_where_this_thread_is(void **state)
{
	(void)state;
	int r = kernel_stack_read(getpid(), getpid(), &k);

	if (r == -EACCES || r == -EPERM || r == -ENOENT)
		skip();
	assert_int_equal(r, 0);
	bool found = false;
	for (size_t i = 0; i < k.nframes; i++)
		found |= !strcmp(k.frames[i].function, "proc_pid_stack");
	assert_true(found);
	assert_int_equal(kernel_stack_read(getpid(), 0x7fffffff, &k), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_offsets_and_modules_are_told_apart),
		cmocka_unit_test(code_without_a_name_leaves_no_address),
		cmocka_unit_test(what_is_no_stack_has_no_frames),
		cmocka_unit_test(an_endless_stack_is_cut),
		cmocka_unit_test(the_kernel_tells_where_this_thread_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
