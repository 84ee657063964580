/* SPDX-License-Identifier: MIT */
/* A library for a file that is stalled (stalled_file.c): code in it that sleeps. */
#include <unistd.h>

void stalled_code_sleep(unsigned int us);

__attribute__((visibility("default"))) void stalled_code_sleep(unsigned int us)
{
	usleep(us);
	__asm__ volatile(""); /* no tail call: its frame stays */
}
