/* SPDX-License-Identifier: MIT */
/* What valgrind cannot do is skipped there, with the reason. */
#ifndef LSC_TESTS_LOOP_ON_VALGRIND_H
#define LSC_TESTS_LOOP_ON_VALGRIND_H

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#if !defined(RUNNING_ON_VALGRIND)
#define RUNNING_ON_VALGRIND 0
#endif

#define skip_on_valgrind(reason)                                                                   \
	do {                                                                                       \
		if (RUNNING_ON_VALGRIND) {                                                         \
			print_message("skipped on valgrind: %s\n", reason);                        \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#define NO_PIDFD "it does not know pidfd_open"
#define TAKES_AND_REFUSES                                                                          \
	"beyond the limit of descriptors it takes a connection and then refuses it"

#endif
