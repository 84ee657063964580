/* SPDX-License-Identifier: MIT */
/*
 * Messages on their way to a client that may not read them. Whoever puts them here never waits:
 * what the client counts on is kept until it reads, what it is told meanwhile is left out, and
 * counted.
 */
#ifndef LSC_OUTBOX_H
#define LSC_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define OUTBOX_MAX 16

struct outbox {
	int fd; /* borrowed; non-blocking */
	bool gone;
	json_t *kept[OUTBOX_MAX]; /* owned; oldest first */
	size_t nkept;
	uint64_t left_out, told; /* of these the client knows */
};

/* Takes msg, which the client counts on; NULL is nothing. More than OUTBOX_MAX at once are left
 * out, too. */
void outbox_put(struct outbox *o, json_t *msg);
/* Takes msg, one of many, which is left out when it does not go at once; NULL is nothing. */
void outbox_offer(struct outbox *o, json_t *msg);
/* Sends what goes now. */
void outbox_flush(struct outbox *o);
/* It has something to send when fd can be written. */
bool outbox_waits(const struct outbox *o);
/* Waits until all is sent, the client is gone, or timeout_ns have passed. */
void outbox_drain(struct outbox *o, uint64_t timeout_ns);
void outbox_done(struct outbox *o);

#endif
