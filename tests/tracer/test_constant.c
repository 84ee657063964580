/* SPDX-License-Identifier: MIT */
/* The constants of system calls by name, as strace writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "constant.h"

static void assert_text(enum constant_kind kind, uint64_t v, const char *expected)
{
	char buf[CONSTANT_TEXT];

	assert_string_equal(constant_text(kind, v, buf, sizeof(buf)), expected);
}

static void futex_operations_carry_their_privacy_and_clock(void **state)
{
	(void)state;
	assert_text(CONSTANT_FUTEX, 0, "FUTEX_WAIT");
	assert_text(CONSTANT_FUTEX, 128, "FUTEX_WAIT_PRIVATE");
	assert_text(CONSTANT_FUTEX, 393,
		    "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"); /* sem_timedwait */
	assert_text(CONSTANT_FUTEX, FUTEX_LOCK_PI, "FUTEX_LOCK_PI");
	assert_text(CONSTANT_FUTEX, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, "FUTEX_LOCK_PI2_PRIVATE");
	assert_text(CONSTANT_FUTEX, FUTEX_WAIT_REQUEUE_PI, "FUTEX_WAIT_REQUEUE_PI");
	assert_text(CONSTANT_FUTEX, 77, "0x4d");
}

static void a_value_is_the_one_of_its_list(void **state)
{
	(void)state;
	assert_text(CONSTANT_COMMAND, F_SETLKW, "F_SETLKW");
	assert_text(CONSTANT_COMMAND, 38, "F_OFD_SETLKW");
	assert_text(CONSTANT_COMMAND, 0, "F_DUPFD");
	assert_text(CONSTANT_EPOLL, 3, "EPOLL_CTL_MOD");
	assert_text(CONSTANT_ID, P_PIDFD, "P_PIDFD");
	assert_text(CONSTANT_ADVICE, MADV_DONTNEED, "MADV_DONTNEED");
	assert_text(CONSTANT_REQUEST, TCSBRK, "TCSBRK");
	assert_text(CONSTANT_REQUEST, 0x8b01, "0x8b01");
	assert_text(CONSTANT_CLOSING, SHUT_RDWR, "SHUT_RDWR");
	assert_text(CONSTANT_DOMAIN, AF_INET6, "AF_INET6");
}

static void flags_are_joined_and_the_rest_is_hexadecimal(void **state)
{
	(void)state;
	assert_text(CONSTANT_LOCK, LOCK_EX | LOCK_NB, "LOCK_EX|LOCK_NB");
	assert_text(CONSTANT_MESSAGE, 0, "0");
	assert_text(CONSTANT_MESSAGE, MSG_PEEK | MSG_WAITALL, "MSG_PEEK|MSG_WAITALL");
	assert_text(CONSTANT_MESSAGE, MSG_PEEK | 1 << 25, "MSG_PEEK|0x2000000");
	assert_text(CONSTANT_WAITING, WNOHANG | WUNTRACED, "WNOHANG|WUNTRACED");
	assert_text(CONSTANT_WAITING, 0x80000000 | WEXITED, "WEXITED|__WCLONE");
	assert_text(CONSTANT_PROTECTION, PROT_NONE, "PROT_NONE");
	assert_text(CONSTANT_PROTECTION, PROT_READ | PROT_WRITE, "PROT_READ|PROT_WRITE");
	assert_text(CONSTANT_MAPPING, MAP_PRIVATE | MAP_ANONYMOUS, "MAP_PRIVATE|MAP_ANONYMOUS");
	assert_text(CONSTANT_MAPPING, MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE");
	assert_text(CONSTANT_SYNC, MS_SYNC, "MS_SYNC");
}

static void some_bits_may_be_a_value_and_the_others_flags(void **state)
{
	(void)state;
	assert_text(CONSTANT_OPENING, O_RDONLY, "O_RDONLY");
	assert_text(CONSTANT_OPENING, O_RDONLY | O_CLOEXEC, "O_RDONLY|O_CLOEXEC");
	assert_text(CONSTANT_OPENING, O_WRONLY | O_CREAT | O_TRUNC, "O_WRONLY|O_CREAT|O_TRUNC");
	assert_text(CONSTANT_OPENING, O_RDWR | O_SYNC, "O_RDWR|O_SYNC"); /* not O_DSYNC too */
	assert_text(CONSTANT_OPENING, O_RDWR | O_TMPFILE, "O_RDWR|O_TMPFILE");
	assert_text(CONSTANT_OPENING, 3, "0x3");
	assert_text(CONSTANT_TYPE, SOCK_STREAM | SOCK_CLOEXEC, "SOCK_STREAM|SOCK_CLOEXEC");
}

static void any_value_has_a_text_that_fits(void **state)
{
	char buf[24];

	(void)state;
	for (int kind = 0; kind < 256; kind++)
		for (int bit = 0; bit < 64; bit++) {
			constant_text((enum constant_kind)kind, UINT64_MAX >> bit, buf,
				      sizeof(buf));
			assert_in_range(strlen(buf), 1, sizeof(buf) - 1);
			constant_text((enum constant_kind)kind, 1ull << bit, buf, sizeof(buf));
			assert_in_range(strlen(buf), 1, sizeof(buf) - 1);
		}
	assert_text((enum constant_kind)'?', 5, "0x5");
	assert_text(CONSTANT_COMMAND, (uint64_t)1 << 32 | F_SETLKW, "F_SETLKW"); /* an int */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(futex_operations_carry_their_privacy_and_clock),
		cmocka_unit_test(a_value_is_the_one_of_its_list),
		cmocka_unit_test(flags_are_joined_and_the_rest_is_hexadecimal),
		cmocka_unit_test(some_bits_may_be_a_value_and_the_others_flags),
		cmocka_unit_test(any_value_has_a_text_that_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
