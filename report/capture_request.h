/* SPDX-License-Identifier: MIT */
/* The "attach" message of a capture, and the name of its file. */
#ifndef LSC_CAPTURE_REQUEST_H
#define LSC_CAPTURE_REQUEST_H

#include "capture.h"

/* Builds the message; command_pid is that of the held command, 0 without one. Gives *ret_msg. */
int request_attach(const struct capture_options *o, int command_pid, json_t **ret_msg,
		   struct lsc_err *err);

/* path as a person in the current directory would type it; cut at size. */
void request_shorten(const char *path, char *buf, size_t size);

#endif
