/* SPDX-License-Identifier: MIT */
/* Which frames of a stack belong to an event-loop library, and which lie between it and what it
 * calls. By names alone: nothing of the target is read. */
#ifndef LSC_LOOP_LIBRARY_H
#define LSC_LOOP_LIBRARY_H

#include <stdbool.h>

#include "inspect/inspector.h"

/* The loop library that a frame belongs to, or the part of a program that is one; NULL: none. */
const char *loop_library(const struct inspector_frame *f);
/* The same in more detail, by the exported function that lies before. */
const char *loop_library_part(const struct inspector_frame *f);
/* What the standard library of a language, or code that a library's tools make, puts between the
 * library and a callback: std::function, Rust's FnOnce, Qt's meta calls. */
bool loop_library_is_glue(const struct inspector_frame *f);
/* The C library, the vdso. */
bool loop_library_is_c(const struct inspector_frame *f);

#endif
