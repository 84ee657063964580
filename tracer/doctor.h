/* SPDX-License-Identifier: MIT */
/* What works here, what not, and what would give it. */
#ifndef LSC_DOCTOR_H
#define LSC_DOCTOR_H

#include <jansson.h>

/* The `doctor` message; pid 0: the host alone. Gives a new reference, NULL out of memory. */
json_t *doctor_run(int pid);

#endif
