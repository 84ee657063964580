/* SPDX-License-Identifier: MIT */
/* make_capture SCENE PATH: a capture for the tests that run the program itself. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define SITES 10000

/* Each stall blocks in a function of its own. */
static void make_sites(struct fixture *f)
{
	char name[32];

	for (int i = 1; i <= SITES; i++) {
		snprintf(name, sizeof(name), "site_%d", i);
		fixture_native(f, i, name, i);
		fixture_stall(f, i, (unsigned)(i - 1), 10 + (unsigned)i % 290, LSC_CAUSE_SLEEP,
			      "clock_nanosleep", i);
	}
}

int main(int argc, char **argv)
{
	struct fixture f;

	if (argc != 3)
		return 2;
	fixture_begin(&f, argv[2]);
	if (!strcmp(argv[1], "healthy"))
		fixture_healthy(&f);
	else if (!strcmp(argv[1], "sleeping"))
		fixture_sleeping(&f);
	else if (!strcmp(argv[1], "hostile"))
		fixture_hostile(&f);
	else if (!strcmp(argv[1], "host"))
		fixture_host(&f);
	else if (!strcmp(argv[1], "sites"))
		make_sites(&f);
	else if (!strcmp(argv[1], "partial"))
		store_meta_put(f.s, STORE_META_COVERAGE, "0.900000");
	else if (!strcmp(argv[1], "cut")) {
		store_commit(f.s);
		store_close(f.s);
		return 0;
	} else
		return 2;
	fixture_end(&f);
	return 0;
}
