/* SPDX-License-Identifier: MIT */
/*
 * One connection, one job: speaks the control protocol (docs/control.md) with a client and drives a
 * collector for it.
 */
#ifndef LSC_SESSION_H
#define LSC_SESSION_H

#include <signal.h>

/* Serves the client on fd (a SOCK_SEQPACKET socket; borrowed) until its job is over, or *stopping
 * is set by a signal: then the capture is finished as it stands. 0 or -errno. */
int session_run(int fd, const volatile sig_atomic_t *stopping);

#endif
