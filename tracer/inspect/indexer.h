/* SPDX-License-Identifier: MIT */
/* An indexer: parses targets' files, with no privilege at all and nothing of their memory. */
#ifndef LSC_INSPECT_INDEXER_H
#define LSC_INSPECT_INDEXER_H

#include <sys/types.h>

/* Enters the sandbox, says so to collector (MESSAGE_HELLO), then answers each MESSAGE_FILE from
 * broker with a MESSAGE_INDEX to collector, until end of stream. For a process of its own, child of
 * parent; returns to end. */
void indexer_run(pid_t parent, int collector, int broker);

#endif
