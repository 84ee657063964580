/* SPDX-License-Identifier: MIT */
/* Writes the index of a file (index.h). Runs in an indexer alone. */
#ifndef LSC_INSPECT_INDEXWRITER_H
#define LSC_INSPECT_INDEXWRITER_H

#include "inspect/elffile.h"

/* Writes into fd, an empty memfd, and seals it. 0 or -errno: -EFBIG beyond INDEX_BYTES_MAX. */
int indexwriter_run(struct elffile *f, int fd, struct index_head *ret);

#endif
