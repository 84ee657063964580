/* SPDX-License-Identifier: MIT */
/* Chance that can be repeated. */
#ifndef LSC_TESTS_CHANCE_H
#define LSC_TESTS_CHANCE_H

#include <stdlib.h>
#include <time.h>

/* Seeds rand() with LSC_SEED, or anew; and says with what. For a test of cmocka. */
static inline void chance_seed(void)
{
	const char *given = getenv("LSC_SEED");
	unsigned int seed =
		given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
}

#endif
