/* SPDX-License-Identifier: MIT */
/* A library with a long function, which nobody calls. */
volatile int nest_lines_sink;

#define ADD  nest_lines_sink += __COUNTER__;
#define SOME ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD

__attribute__((visibility("default"))) void nest_lines(void);

void nest_lines(void)
{
	SOME SOME SOME SOME SOME SOME SOME SOME
}
