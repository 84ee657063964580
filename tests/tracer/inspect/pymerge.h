/* SPDX-License-Identifier: MIT */
/* Frames of Python put among native ones, and what the collector reads of the answer. */
#ifndef LSC_TESTS_PYMERGE_H
#define LSC_TESTS_PYMERGE_H

#include "inspect/pystack.h"
#include "pyimage.h"

extern struct answer answer;
extern uint8_t packet[MESSAGE_MAX];
extern size_t packet_size;
extern struct message_result result;
extern uint64_t native_sp; /* of the next native frame */
extern struct inspector_frame frames[INSPECTOR_FRAMES_MAX];

/* How often the evaluator runs for the image's frames. */
int runs_of(const struct version *v);
/* The answer begins anew. */
void merge_begin(void);
void add_native(const char *name, unsigned int flags);
/* Frames of the nth run of the evaluator and of the one that called it: on the stack about its own.
 */
void add_run(int n);
/* Puts the frames among these; seen NULL: as they are. */
void merge_end(struct pyview *view, const struct inspector_chain *seen);
const char *task_text(uint32_t offset);

#endif
