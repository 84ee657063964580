/* SPDX-License-Identifier: MIT */
/*
 * What the apps of this folder share: each is a small server around one kind of event loop. app.c
 * has main(), the line protocol, the timers, the planted blocks and the bystanders (threads that
 * wait too and are no loops); an app supplies the loop behind the functions below.
 *
 *   echo TEXT           is answered with TEXT
 *   block KIND NS       blocks in the callback, and is answered with {"begin_ns", "ns"} of the wait
 *                       by its own clock, {"unsure_ns"}, the time that preparing it took in the
 * same callback, {"delay_ns"}, the time for which it was runnable and had no CPU according to the
 * kernel, and {"tid"} of the loop burst COUNT NS      COUNT callbacks compute NS each in one turn;
 * the last answers likewise end                 leaves the loop
 */
#ifndef APPS_APP_H
#define APPS_APP_H

#include <stdbool.h>
#include <stdint.h>

#define APP_BURST_MAX 10

typedef void app_fn(void *arg);

/* ---- the app's part; any failure ends the program ---- */

void app_init(int argc, char **argv);
/* Calls fn whenever fd is readable (level-triggered), on the loop's thread. */
void app_watch(int fd, app_fn *fn, void *arg);
void app_unwatch(int fd);
void app_every(unsigned int ms, app_fn *fn);
/* Turns until app_is_over(). */
void app_run(void);

/* As app_watch(), with the index-th of APP_BURST_MAX different callbacks, each of which calls
 * app_burst_step(). An app whose library is handed the callbacks defines it; the others get it in
 * terms of app_watch(). */
void app_watch_burst(int index, int fd);

/* ---- the shared part ---- */

bool app_is_over(void);
void app_burst_step(void);
/* Reports a failed call and ends the program. */
_Noreturn void app_die(const char *what);
uint64_t app_now_ns(void);
/* For loops without timers of their own: a timerfd. */
void app_every_timerfd(unsigned int ms, app_fn *fn);
/* Descriptors with their callbacks, for loops without a table of their own. */
struct app_slot {
	app_fn *fn;
	void *arg;
};
extern struct app_slot app_slots[1024]; /* by descriptor; fn NULL: not watched */

/* The ten callbacks burst_0 .. burst_9 with a library's parameters, none of them a tail call. */
#define APP_BURST_ONE(n, ...)                                                                      \
	static void burst_##n(__VA_ARGS__)                                                         \
	{                                                                                          \
		app_burst_step();                                                                  \
		__asm__ volatile("");                                                              \
	}
#define APP_BURST_ALL(...)                                                                         \
	APP_BURST_ONE(0, __VA_ARGS__)                                                              \
	APP_BURST_ONE(1, __VA_ARGS__)                                                              \
	APP_BURST_ONE(2, __VA_ARGS__)                                                              \
	APP_BURST_ONE(3, __VA_ARGS__)                                                              \
	APP_BURST_ONE(4, __VA_ARGS__)                                                              \
	APP_BURST_ONE(5, __VA_ARGS__)                                                              \
	APP_BURST_ONE(6, __VA_ARGS__)                                                              \
	APP_BURST_ONE(7, __VA_ARGS__)                                                              \
	APP_BURST_ONE(8, __VA_ARGS__)                                                              \
	APP_BURST_ONE(9, __VA_ARGS__)
#define APP_BURST_TABLE                                                                            \
	{                                                                                          \
		burst_0, burst_1, burst_2, burst_3, burst_4, burst_5, burst_6, burst_7, burst_8,   \
			burst_9                                                                    \
	}

#endif
