/* SPDX-License-Identifier: MIT */
/*
 * The protocol between loopscope and loopscoped: one JSON object a message over a SOCK_SEQPACKET
 * Unix socket (a socketpair for a private loopscoped, a path for the service). Both ends treat the
 * other as hostile: size and nesting are bounded, unknown types and fields are ignored.
 * docs/control.md lists the messages. Links Jansson and base alone.
 */
#ifndef LSC_CONTROL_H
#define LSC_CONTROL_H

#include <jansson.h>

#include "base/err.h"

#define CONTROL_VERSION	    1
#define CONTROL_MAX_MESSAGE (64 * 1024)

/* Sends one message; takes msg (also on error). -EAGAIN when the socket is full and non-blocking,
 * -EPIPE when the peer is gone (no signal), -EMSGSIZE. Invalid UTF-8 must have been replaced
 * before: see control_text(). */
int control_send(int fd, json_t *msg);

/* Receives one message. 1 and gives *ret_msg; 0 at end of stream; -EAGAIN; -EBADMSG when the peer
 * speaks nonsense (not an object, too deep, too long, cut). */
int control_recv(int fd, json_t **ret_msg);

/* Room for what is sent through fd, the daemon's end, while the client lacks a CPU: up to 12 MiB, a
 * line of each loop that may come at once. Without CAP_NET_ADMIN as much as net.core.wmem_max
 * allows, or what it has. */
void control_make_room(int fd);

/* A JSON string of hostile bytes: invalid UTF-8 becomes U+FFFD, NULL becomes null, over max bytes
 * is cut. Gives a new reference; NULL out of memory. */
json_t *control_text(const char *bytes, size_t max);

#endif
