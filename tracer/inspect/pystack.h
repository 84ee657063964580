/* SPDX-License-Identifier: MIT */
/* Frames of Python among the native ones. */
#ifndef LSC_INSPECT_PYSTACK_H
#define LSC_INSPECT_PYSTACK_H

#include "inspect/answer.h"
#include "inspect/unwind.h"

struct pyview;

/* Puts the frames of job's thread, which sleeps, or those that came along behind the stack, in
 * place of the native ones that run them, and its task beside. Without: answer is left as it is,
 * and says why. */
void pystack_merge(struct space *s, const struct message_job *job, const uint8_t *stack,
		   struct answer *a, unwind_phase_fn *phase, void *arg);

/* The same by a view. seen: what came along, NULL where nothing did. */
void pystack_merge_view(struct pyview *v, const struct message_job *job,
			const struct inspector_chain *seen, struct answer *a);

#endif
