/* SPDX-License-Identifier: MIT */
/* The event loops of the host, or the loops and tasks of one process, for the control protocol. */
#ifndef LSC_PS_H
#define LSC_PS_H

#include <jansson.h>

#include "base/err.h"

/* Takes msg, one of those that docs/control.md has for "ps". */
typedef void ps_send_fn(json_t *msg, void *arg);

/* Observes for a second and sends what there is, the last message a "ps-end". pid 0: the host.
 * Takes about a second, and up to 2 s more for tasks. -errno with the line that says why the
 * process cannot be looked at; then nothing was sent. */
int ps_run(int pid, ps_send_fn *send, void *arg, struct lsc_err *err);

#endif
