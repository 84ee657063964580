/* SPDX-License-Identifier: MIT */
/*
 * The supplementary file that `dwz` makes of what several debug files have in common
 * (.gnu_debugaltlink). Runs in an indexer alone; that it is the right one is proven by its build
 * id.
 */
#ifndef LSC_INSPECT_ALTLINK_H
#define LSC_INSPECT_ALTLINK_H

#include "inspect/elffile.h"

/* Has lines and inlined calls of f read it, too, if there is one; looks once. */
void altlink_attach(struct elffile *f);
/* After the Dwfl of f has ended. */
void altlink_detach(struct elffile *f);

#endif
