/* SPDX-License-Identifier: MIT */
/*
 * What the application says of itself in the record; a report lists it beside what the loop did.
 * Both calls are for the thread of the loop, inside or outside of a task, and cost some 10 ns for
 * each 12 bytes of text; neither fails, suspends or allocates. In a thread without a loop, and
 * while the loop is not recorded, nothing happens.
 */
#ifndef LOOPSCOPE_MARK_H
#define LOOPSCOPE_MARK_H

#include "loopscope/api.h"

LSC_BEGIN

/* Records that the moment of this call is called text (UTF-8, borrowed; up to 200 bytes are kept,
 * cut at a character; NULL: a mark without a text). Never fails. */
LSC_API void lsc_trace_mark(const char *text);

/* Records that the counter of that name (UTF-8, borrowed, up to 200 bytes; NULL or empty: nothing
 * is recorded) has this value from now on: a depth, a number of requests, a temperature. The report
 * tells the last, the least and the greatest value. A loop's counters are its own: the same name in
 * another thread is another counter. Never fails. */
LSC_API void lsc_trace_counter(const char *name, int64_t value);

LSC_END

#endif
