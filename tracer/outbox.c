/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control.h"

/* Whether msg, which stays the caller's, is done with. */
static bool sent(struct outbox *o, json_t *msg)
{
	if (o->gone)
		return true;
	int r = control_send(o->fd, json_incref(msg));
	if (r == -EPIPE)
		o->gone = true;
	return r != -EAGAIN;
}

/* It reads again: how many it missed. */
static void tell_left_out(struct outbox *o)
{
	char text[160];

	if (o->left_out == o->told)
		return;
	snprintf(text, sizeof(text),
		 "%llu messages were left out while they were not read; the capture has what they "
		 "told",
		 (unsigned long long)(o->left_out - o->told));
	json_t *msg = json_pack("{s:s, s:s}", "type", "notice", "text", text);
	if (msg && sent(o, msg))
		o->told = o->left_out;
	json_decref(msg);
}

void outbox_flush(struct outbox *o)
{
	size_t n = 0;

	while (n < o->nkept && sent(o, o->kept[n]))
		json_decref(o->kept[n++]);
	o->nkept -= n;
	memmove(o->kept, o->kept + n, o->nkept * sizeof(o->kept[0]));
	if (!o->nkept)
		tell_left_out(o);
}

void outbox_put(struct outbox *o, json_t *msg)
{
	outbox_flush(o);
	if (!msg || (!o->nkept && sent(o, msg))) {
		json_decref(msg);
	} else if (o->nkept < OUTBOX_MAX) {
		o->kept[o->nkept++] = msg;
	} else {
		o->left_out++;
		json_decref(msg);
	}
}

void outbox_offer(struct outbox *o, json_t *msg)
{
	outbox_flush(o);
	if (msg && (outbox_waits(o) || !sent(o, msg)))
		o->left_out++;
	json_decref(msg);
}

bool outbox_waits(const struct outbox *o)
{
	return !o->gone && (o->nkept || o->left_out != o->told);
}

void outbox_drain(struct outbox *o, uint64_t timeout_ns)
{
	uint64_t until = lsc_now_ns() + timeout_ns, now;

	for (outbox_flush(o); outbox_waits(o) && (now = lsc_now_ns()) < until; outbox_flush(o)) {
		struct pollfd p = {.fd = o->fd, .events = POLLOUT};
		poll(&p, 1, (int)((until - now) / LSC_NS_PER_MS) + 1);
	}
}

void outbox_done(struct outbox *o)
{
	for (size_t i = 0; i < o->nkept; i++)
		json_decref(o->kept[i]);
	o->nkept = 0;
}
