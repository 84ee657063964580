/* SPDX-License-Identifier: MIT */
/* The worker's answer to MESSAGE_VERSION: which version of a runtime a process runs, as its own
 * memory and files say. */
#ifndef LSC_INSPECT_VERSION_H
#define LSC_INSPECT_VERSION_H

#include "inspect/space.h"
#include "inspect/unwind.h"

/* name, with NUL, is the runtime's: job->size bytes. Writes the MESSAGE_RESULT, whose tally has the
 * version, into buf of MESSAGE_MAX bytes. The message's size. */
size_t version_run(struct space *s, const struct message_job *job, const char *name,
		   unwind_phase_fn *phase, void *arg, void *buf);

/* What a program says of itself in its constants: the prefix, three numbers, and an end. 0: it says
 * none, or not the same wherever it does. */
uint32_t version_in_text(const char *text, size_t size, const char *prefix);

/* The number that a function returns which does nothing else; *ret is set then. */
bool version_returned(const uint8_t code[10], uint32_t *ret);

#endif
