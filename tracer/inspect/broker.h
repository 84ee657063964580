/* SPDX-License-Identifier: MIT */
/* The broker: opens what belongs to a target and hands descriptors to the worker. Parses no ELF. */
#ifndef LSC_INSPECT_BROKER_H
#define LSC_INSPECT_BROKER_H

#include <sys/types.h>

/* Serves MESSAGE_OPEN and MESSAGE_FILE from collector, until its end of stream, and
 * MESSAGE_SIDEFILE from worker, which may be an indexer. For a process of its own. */
void broker_run(int collector, int worker);

/* Turns an O_PATH descriptor of a regular file of at most size_max bytes into one that reads. Gives
 * it, or -errno: -ENXIO, -EFBIG. */
int broker_reopen(int path_fd, off_t size_max);

#endif
