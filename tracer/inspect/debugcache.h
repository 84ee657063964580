/* SPDX-License-Identifier: MIT */
/*
 * The folder where libdebuginfod keeps what it has fetched, FOLDER/BUILD-ID/debuginfo: its own one,
 * DEBUGINFOD_CACHE_PATH or that of the user; of root's, whose fetcher is user nobody,
 * /var/cache/loopscope/debuginfod.
 */
#ifndef LSC_INSPECT_DEBUGCACHE_H
#define LSC_INSPECT_DEBUGCACHE_H

#include <limits.h>
#include <stddef.h>

/* Before privileges are dropped: makes the folder, if it is not there, for whoever fetches. Gives
 * an O_PATH descriptor of it and its path, or -errno. */
int debugcache_make(char ret_path[PATH_MAX]);

/* Opens the debug file with that build id, of size bytes in hex. It counts if it has no second name
 * and the folder's owner. Gives a descriptor, or -errno: -ENOENT nothing there, -EPERM another's,
 * -ENXIO no plain file, -EFBIG. */
int debugcache_open(const char *build_id, size_t size);

#endif
