/* SPDX-License-Identifier: MIT */
/* Walks a copied stack by .eh_frame and writes the answer. Runs in the worker alone. */
#ifndef LSC_INSPECT_UNWIND_H
#define LSC_INSPECT_UNWIND_H

#include "inspect/message.h"
#include "inspect/space.h"

/* Tells that a slow phase begins or ends. */
typedef void unwind_phase_fn(enum message_phase phase, void *arg);

/* Prepares s (all files reported) for unwind_run(). vdso is an ELF of this machine. 0 or -errno. */
int unwind_attach(struct space *s, Elf *vdso);

/* Answers job, whose stack holds job->size bytes, into buf of MESSAGE_MAX bytes as a
 * MESSAGE_RESULT. Its size. s is NULL when nothing of the target could be read. */
size_t unwind_run(struct space *s, const struct message_job *job, const uint8_t *stack,
		  unwind_phase_fn *phase, void *arg, void *buf);

#endif
