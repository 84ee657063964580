/* SPDX-License-Identifier: MIT */
/* A server that answers each line with the same, and who asks it. */
#ifndef LSC_TESTS_LOOP_ECHO_H
#define LSC_TESTS_LOOP_ECHO_H

#include "loopscope/loopscope.h"

/* A lsc_client_fn; arg is an int that counts connections. "name" is answered with the name of its
 * task. */
int echo_lines(struct lsc_stream *stream, void *arg);

/* Sends the line and asserts that it comes back. */
void ask(struct lsc_stream *s, const char *text);

#endif
