/* SPDX-License-Identifier: MIT */
/* Calls that fail on demand, for the allocation sweep. */
#ifndef LSC_TESTS_LOOP_WRAP_H
#define LSC_TESTS_LOOP_WRAP_H

#include <stdbool.h>

/* Counting from now, the nth wrapped call fails, with ENOMEM; 0: none. */
void wrap_fail_at(unsigned nth);
bool wrap_has_failed(void);

#endif
