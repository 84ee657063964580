/* SPDX-License-Identifier: MIT */
/*
 * One connection to loopscoped: the service when it runs, else a private one that lives for this
 * job alone. The codec is tracer/control; what the messages mean is the caller's business.
 */
#ifndef LSC_CLIENT_H
#define LSC_CLIENT_H

#include <jansson.h>

#include "base/err.h"

struct client;

/*
 * Connects and exchanges hello. LOOPSCOPE_SOCKET names the service's socket; set and empty it means
 * "always a private one". The service is believed only when root or we ourselves run it. Gives
 * *ret_client. -ENOENT: no loopscoped found; -EPERM, -ECONNREFUSED, -EPROTO, -ETIMEDOUT, ...
 */
int client_open(struct client **ret_client, struct lsc_err *err);

/* To poll for input. */
int client_fd(const struct client *c);

/* "loopscoped 0.1.0, private (/usr/bin/loopscoped)". Borrowed. */
const char *client_describe(const struct client *c);

/* Sends; takes msg, which may be NULL (out of memory). */
int client_send(struct client *c, json_t *msg, struct lsc_err *err);

/* Waits up to timeout_ms (-1: for ever) for the next message. 1 and gives *ret_msg; -ETIMEDOUT;
 * -EPIPE when loopscoped is gone (err says how it ended); -EBADMSG when it speaks nonsense. */
int client_next(struct client *c, int timeout_ms, json_t **ret_msg, struct lsc_err *err);

/* Says that nothing more will come, which finishes the job: by abort unless stop was sent. Then
 * waits at most timeout_ms for loopscoped to close its end. Gives the last message that came until
 * then, NULL none. */
json_t *client_finish(struct client *c, int timeout_ms);

/* Closes and frees; a private loopscoped that has ended is reaped, one that has not finishes by
 * itself. NULL is fine. Returns NULL. */
struct client *client_close(struct client *c);

#endif
