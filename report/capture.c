/* SPDX-License-Identifier: MIT */
/*
 * The life of a capture as its client sees it: hello, attach, ready, (the command runs), stop, end.
 * One poll loop over the connection, the signals and the command.
 */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hangup.h"
#include "capture_request.h"
#include "child.h"
#include "client.h"
#include "ending.h"
#include "field.h"

#define READY_TIMEOUT_NS (60 * LSC_NS_PER_S)
#define END_TIMEOUT_NS	 (120 * LSC_NS_PER_S) /* writing, symbols */
#define ABORT_TIMEOUT_MS 2000
#define ONE_SIGNAL_NS	 (300 * LSC_NS_PER_MS) /* timeout(1) sends its signal twice */

enum phase {
	PHASE_ATTACHING, /* until "ready" */
	PHASE_WATCHING,
	PHASE_STOPPING, /* stop was sent */
	PHASE_ENDED,	/* "end" came */
	PHASE_FAILED,	/* the capture is over; a running command is still waited for */
};

struct run {
	const struct capture_options *o;
	capture_message_fn *fn;
	void *arg;
	struct capture_result *ret;
	struct lsc_err *err;
	struct client *client;
	struct child child;
	int signals;
	enum phase phase;
	int failure;	      /* -errno of PHASE_FAILED */
	uint64_t deadline_ns; /* for loopscoped to go on; 0: none */
	uint64_t stopped_ns;  /* when a signal asked for the stop */
	uint64_t released_ns; /* when the command began to run, 0 not yet */
	uint64_t ran_ns;      /* for how long it did */
};

static int fail(struct run *r, int code, int exit_code)
{
	r->phase = PHASE_FAILED;
	r->failure = code;
	r->deadline_ns = 0;
	r->ret->exit_code = exit_code;
	return code;
}

/* What our own failure means at this point: nothing was attached yet, or the run was spoilt. */
static int own_exit(const struct run *r)
{
	return r->phase == PHASE_ATTACHING && !r->o->command ? 4 : 125;
}

static bool command_runs(const struct run *r)
{
	return r->child.pid && r->child.gate < 0;
}

static void stop(struct run *r)
{
	json_t *status =
		r->ret->command_status >= 0 ? json_integer(r->ret->command_status) : json_null();
	json_t *msg = json_pack("{s:s, s:o}", "type", "stop", "exit_status", status);
	int code = client_send(r->client, msg, r->err);

	if (code < 0) {
		fail(r, code, own_exit(r));
		return;
	}
	r->phase = PHASE_STOPPING;
	r->deadline_ns = lsc_now_ns() + END_TIMEOUT_NS;
}

/* Gives the capture up. What stays of it loopscoped says: where it lies, or that it is nothing,
 * which is then returned. */
static bool abandon(struct run *r)
{
	json_t *last = client_finish(r->client, ABORT_TIMEOUT_MS);
	const char *type = last ? field_text(last, "type") : NULL;
	const char *path = last ? field_text(last, "path") : NULL;

	if (type && !strcmp(type, "end") && path)
		request_shorten(path, r->ret->path, sizeof(r->ret->path));
	bool nothing = type && !strcmp(type, "error");
	if (nothing)
		r->ret->path[0] = '\0';
	json_decref(last);
	return nothing;
}

static void on_ready(struct run *r)
{
	if (r->phase != PHASE_ATTACHING)
		return;
	r->phase = PHASE_WATCHING;
	r->deadline_ns = 0;
	if (!r->o->command)
		return;
	r->released_ns = lsc_now_ns();
	int code = child_release(&r->child, r->err);
	if (code < 0) {
		abandon(r);
		child_reap(&r->child);
		fail(r, code, code == -ENOENT ? 127 : 126);
	}
}

static void on_error(struct run *r, const json_t *msg)
{
	int64_t code = field_int(msg, "code", 125);
	const char *text = field_text(msg, "text");

	if (code != 2 && code != 4)
		code = 125;
	if (r->o->command) /* 2 and 4 would look like the command's own */
		code = 125;
	lsc_err_set(r->err, -ECANCELED, "%s", text ?: "loopscoped gave up without a word");
	fail(r, -ECANCELED, (int)code);
}

/* Where what was watched has ended, a notice says so before the summary does. */
static void tell_ending(struct run *r, const json_t *end)
{
	const struct ending e = {.o = r->o,
				 .watched = r->phase != PHASE_ATTACHING,
				 .command_status = r->ret->command_status,
				 .ran_ns = r->ran_ns};
	char text[512];

	ending_text(&e, end, text, sizeof(text));
	json_t *notice =
		*text ? json_pack("{s:s, s:o}", "type", "notice", "text", json_string_nocheck(text))
		      : NULL;
	if (notice)
		r->fn(notice, r->arg);
	json_decref(notice);
}

static void on_message(struct run *r)
{
	json_t *msg;
	int code = client_next(r->client, 0, &msg, r->err);

	if (code == -ETIMEDOUT)
		return;
	if (code < 0) {
		fail(r, code, own_exit(r));
		return;
	}
	const char *type = field_text(msg, "type");
	if (!strcmp(type, "error")) {
		on_error(r, msg);
	} else {
		const char *path = field_text(msg, "path");
		if (path && (!strcmp(type, "ready") || !strcmp(type, "end")))
			request_shorten(path, r->ret->path, sizeof(r->ret->path));
		if (!strcmp(type, "end")) {
			tell_ending(r, msg);
			r->phase = PHASE_ENDED;
			r->deadline_ns = 0;
		}
		r->fn(msg, r->arg);
		if (!strcmp(type, "ready"))
			on_ready(r);
	}
	json_decref(msg);
}

static void on_signal(struct run *r)
{
	struct signalfd_siginfo s;

	if (read(r->signals, &s, sizeof(s)) != sizeof(s))
		return;
	if (command_runs(r)) { /* the terminal's signals reach the command by themselves */
		if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGHUP)
			kill(r->child.pid, (int)s.ssi_signo);
	} else if (r->phase == PHASE_WATCHING) {
		r->stopped_ns = lsc_now_ns();
		stop(r);
	} else if (lsc_now_ns() - r->stopped_ns >= ONE_SIGNAL_NS) {
		bool nothing = abandon(r);
		lsc_err_set(r->err, -EINTR,
			    nothing ? "aborted before anything was captured" : "aborted");
		fail(r, -EINTR, 128 + SIGINT);
	}
}

static void on_command_end(struct run *r)
{
	r->ret->command_status = child_reap(&r->child);
	r->ran_ns = lsc_now_ns() - r->released_ns;
	if (r->phase == PHASE_WATCHING)
		stop(r);
}

static void on_deadline(struct run *r)
{
	lsc_err_set(r->err, -ETIMEDOUT,
		    r->phase == PHASE_STOPPING
			    ? "loopscoped did not finish the capture within 120 s"
			    : "loopscoped did not attach within 60 s");
	fail(r, -ETIMEDOUT, own_exit(r));
}

static void turn(struct run *r)
{
	bool talks = r->phase < PHASE_ENDED;
	struct pollfd p[] = {
		{.fd = r->signals, .events = POLLIN},
		{.fd = talks ? client_fd(r->client) : -1, .events = POLLIN},
		{.fd = command_runs(r) ? r->child.pidfd : -1, .events = POLLIN},
	};
	int timeout = -1;

	if (r->deadline_ns) {
		uint64_t now = lsc_now_ns();
		timeout = now < r->deadline_ns ? (int)((r->deadline_ns - now) / LSC_NS_PER_MS) + 1
					       : 0;
	}
	int n = poll(p, LSC_ARRAY_LEN(p), timeout);
	if (n == 0)
		on_deadline(r);
	if (n <= 0)
		return;
	if (p[0].revents)
		on_signal(r);
	else if (p[1].revents)
		on_message(r);
	else if (p[2].revents)
		on_command_end(r);
}

static int begin(struct run *r)
{
	const struct capture_options *o = r->o;
	json_t *msg;
	int code;

	if (o->command) { /* first: whoever cannot run it needs no capture */
		code = child_start(&r->child, o->command, o->user, r->err);
		if (code < 0)
			return fail(r, code, code == -ENOENT ? 127 : code == -EACCES ? 126 : 125);
	}
	code = client_open(&r->client, r->err);
	if (code < 0)
		return fail(r, code, own_exit(r));
	snprintf(r->ret->about, sizeof(r->ret->about), "%s", client_describe(r->client));
	code = request_attach(o, r->child.pid, &msg, r->err);
	if (code < 0)
		return fail(r, code, o->command ? 125 : 2);
	code = client_send(r->client, msg, r->err);
	if (code < 0)
		return fail(r, code, own_exit(r));
	r->deadline_ns = lsc_now_ns() + READY_TIMEOUT_NS;
	return 0;
}

int capture(const struct capture_options *o, capture_message_fn *fn, void *arg,
	    struct capture_result *ret, struct lsc_err *err)
{
	struct lsc_err local = {0};
	struct run r = {.o = o,
			.fn = fn,
			.arg = arg,
			.ret = ret,
			.err = err ?: &local,
			.child = CHILD_NONE};
	struct signalfd_siginfo late;
	sigset_t caught, before;

	*ret = (struct capture_result){.command_status = -1};
	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	if (!lsc_hangup_is_ignored())
		sigaddset(&caught, SIGHUP);
	if (o->command)
		sigaddset(&caught, SIGQUIT);
	r.signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r.signals < 0) {
		ret->exit_code = own_exit(&r);
		return lsc_err_set(err, -errno, "cannot watch for signals: %s", strerror(errno));
	}
	sigprocmask(SIG_BLOCK, &caught, &before);
	begin(&r);
	while (r.phase < PHASE_ENDED || command_runs(&r))
		turn(&r);
	if (r.client && r.phase == PHASE_ENDED)
		json_decref(client_finish(r.client, ABORT_TIMEOUT_MS));
	child_done(&r.child);
	client_close(r.client);
	while (r.stopped_ns && lsc_now_ns() - r.stopped_ns < ONE_SIGNAL_NS &&
	       read(r.signals, &late, sizeof(late)) == sizeof(late))
		; /* the same one's second half must not end us */
	close(r.signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r.phase == PHASE_FAILED ? r.failure : 0;
}
