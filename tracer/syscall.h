/* SPDX-License-Identifier: MIT */
/* Names of system calls and of their arguments (x86-64). */
#ifndef LSC_SYSCALL_H
#define LSC_SYSCALL_H

/* "clock_nanosleep"; NULL for a number this build does not know. Borrowed. */
const char *syscall_name(int nr);

/* One letter an argument, at most six, "" when unknown; '-' skips one:
 * d descriptor, i int, u unsigned, x pointer or flags, n size, t timeout in ms, p pid; a capital
 * one is an enum constant_kind. */
struct syscall_args {
	const char *kinds;
	const char *names[6];
};
const struct syscall_args *syscall_args(int nr);

#endif
