/* SPDX-License-Identifier: MIT */
/* Handles of libuv for the control protocol. */
#ifndef LSC_HANDLES_H
#define LSC_HANDLES_H

#include <jansson.h>

#include "inspect/inspector.h"
#include "watched.h"

/* An array of {"kind", "active", "referenced", "closing", "fd", "local", "peer", "state", "due_ns",
 * "repeat_ns", "callback", "number"}, docs/control.md says what each means. now_ns: when a timer
 * would be due at once. */
json_t *handles_list(const struct inspector_handle *handles, size_t n, const struct watched *w,
		     uint64_t now_ns);

#endif
