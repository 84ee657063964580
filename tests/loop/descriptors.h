/* SPDX-License-Identifier: MIT */
/* How many descriptors a test has open. */
#ifndef LSC_TESTS_LOOP_DESCRIPTORS_H
#define LSC_TESTS_LOOP_DESCRIPTORS_H

/* Those of this process, without timers: a loop makes its own when it first needs it. */
int descriptors_open(void);

#endif
