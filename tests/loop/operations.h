/* SPDX-License-Identifier: MIT */
/* Each operation that waits for a descriptor or a stream, as a task: it waits for ever, unless
 * something happens to what it waits for. */
#ifndef LSC_TESTS_LOOP_OPERATIONS_H
#define LSC_TESTS_LOOP_OPERATIONS_H

#include <stddef.h>

#include "loopscope/loopscope.h"

/* More bytes than two sockets hold. */
#define OPERATIONS_DATA (8 << 20)
extern char operations_data[OPERATIONS_DATA];

/* On the descriptor *(int *)arg; they return what the operation does. */
extern const lsc_task_fn operations[];
extern const size_t operations_count;
/* Two of them. */
int operation_receive(void *arg);
int operation_send(void *arg);

/* Number i of operations on a stream; those that read come first. */
struct stream_operation {
	struct lsc_stream *stream;
	size_t i;
};
#define STREAM_OPERATIONS_READING 5
extern const size_t stream_operations_count;
/* A task; arg is a struct stream_operation. */
int operation_on_stream(void *arg);

/* Lets others run until the task waits. */
void operation_waits(const struct lsc_future *task);

#endif
