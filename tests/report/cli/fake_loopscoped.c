/* SPDX-License-Identifier: MIT */
/*
 * Not loopscoped: a peer for the tests of the client alone, which misbehaves as FAKE_LOOPSCOPED
 * says. It logs what it is sent to FAKE_LOG, and captures nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"

static const char *scenario;
static FILE *logged;
static int fd;

static int is(const char *name)
{
	return !strcmp(scenario, name);
}

static void say(json_t *msg)
{
	if (!msg || control_send(fd, msg) < 0)
		fprintf(logged, "could not send\n");
}

static void raw(const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		fprintf(logged, "could not send\n");
}

static void on_attach(json_t *msg)
{
	json_t *pids = json_object_get(msg, "pids"), *path = json_object_get(msg, "output");

	if (is("die"))
		_exit(3);
	if (is("killed"))
		raise(SIGKILL);
	if (is("nonsense"))
		raw("{{{{ not json");
	if (is("error4")) {
		say(json_pack("{s:s, s:i, s:s}", "type", "error", "code", 4, "text",
			      "no process 999999\033[31m: is it running?"));
		exit(0);
	}
	raw("{\"type\":\"future\",\"x\":[1,2]}");
	if (is("gone"))
		return;
	if (is("no-loop")) {
		say(json_pack("{s:s, s:O, s:i, s:O}", "type", "ready", "pids", pids, "loops", 0,
			      "path", path));
		return;
	}
	say(json_pack("{s:s, s:i, s:i, s:s, s:n, s:s, s:i, s:s}", "type", "loop", "pid", 42, "tid",
		      42, "comm", "ev\033[2Jil", "runtime", "syscall", "epoll_wait", "fd", 5,
		      "source", "bpf"));
	say(json_pack("{s:s, s:O, s:i, s:O}", "type", "ready", "pids", pids, "loops", 1, "path",
		      path));
	say(json_pack("{s:s, s:s}", "type", "notice", "text", "no ring: tasks are not seen"));
	say(json_pack("{s:s, s:i, s:i, s:s, s:I, s:I, s:I, s:s, s:s, s:{s:I}, s:{s:s, s:s, s:s, "
		      "s:i}, s:[s,s], "
		      "s:{s:i, s:i, s:I, s:I, s:s}}",
		      "type", "stall", "pid", 42, "tid", 42, "comm", "evil", "start_ns",
		      (json_int_t)1204000000, "start_wall_ns", (json_int_t)1700000000204000000,
		      "duration_ns", (json_int_t)300200000, "cause", "sleep", "syscall",
		      "clock_nanosleep", "args", "requested_ns", (json_int_t)300000000, "task",
		      "name", "han\033]0;pwned\007dle", "function", "handle", "file", "app.py",
		      "line", 12, "frames", "sleep\xc2\x9b", "handle", "victims", "count", 20,
		      "sockets", 20, "sum_wait_ns", (json_int_t)5610000000, "max_wait_ns",
		      (json_int_t)299800000, "worst", "127.0.0.1:51204"));
	if (is("die-later"))
		_exit(3);
	if (is("error-later"))
		say(json_pack("{s:s, s:i, s:s}", "type", "error", "code", 125, "text",
			      "the disk is full"));
}

static void end(const char *reason, json_t *path)
{
	say(json_pack("{s:s, s:s, s:O, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:I, s:I}", "type", "end",
		      "reason", reason, "path", path, "stalls", 1, "blocks", 2, "loops",
		      is("gone") || is("no-loop") ? 0 : 1, "lost", 0, "emitted", 3, "stored", 3,
		      "coverage", 1.0, "duration_ns", (json_int_t)1000000000, "worst_ns",
		      (json_int_t)300200000));
}

static void on_doctor(void)
{
	say(json_pack("{s:s, s:[{s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]}", "type", "doctor",
		      "checks", "name", "kernel probes (x)", "status",
		      is("blind") ? "refused" : "ok", "detail", "seen", "name", "fentry\033[1m",
		      "status", "missing", "detail", "no CONFIG_KPROBES", "fix",
		      "a kernel with kprobes"));
}

static void on_ps(void)
{
	say(json_pack("{s:s, s:[{s:i, s:i, s:s, s:s, s:{s:s, s:i}, s:s, s:b, s:f}]}", "type",
		      "ps-loops", "loops", "pid", 42, "tid", 42, "comm", "evil", "runtime", "redis",
		      "primary_wait", "syscall", "epoll_wait", "fd", 5, "source", "bpf", "turned",
		      1, "utilization", 0.5));
	say(json_pack("{s:s, s:i, s:[]}", "type", "ps-end", "processes", 3, "unseen"));
}

int main(int argc, char **argv)
{
	json_t *msg, *path = NULL;
	int r;

	scenario = getenv("FAKE_LOOPSCOPED");
	logged = fopen(getenv("FAKE_LOG") ?: "/dev/null", "ae");
	if (!scenario || !logged || argc != 3 || strcmp(argv[1], "--control-fd"))
		return 2;
	setvbuf(logged, NULL, _IOLBF, 0);
	fd = atoi(argv[2]);
	fprintf(logged, "pgid %s\n", getpgrp() == getpid() ? "own" : "shared");
	while ((r = control_recv(fd, &msg)) > 0) {
		const char *type = json_string_value(json_object_get(msg, "type"));
		char *text = json_dumps(msg, JSON_COMPACT);

		fprintf(logged, "%s\n", text);
		free(text);
		if (!strcmp(type, "hello"))
			say(json_pack("{s:s, s:i, s:s}", "type", "hello", "version",
				      is("old") ? 7 : 1, "tool_version", "0.1.0"));
		if (!strcmp(type, "attach")) {
			path = json_incref(json_object_get(msg, "output"));
			on_attach(msg);
			if (is("target-exit") || is("gone"))
				end("target-exit", path);
		}
		if (!strcmp(type, "stop") && path && !is("never-ends"))
			end(json_is_integer(json_object_get(msg, "exit_status")) ? "target-exit"
										 : "user",
			    path);
		if (!strcmp(type, "doctor"))
			on_doctor();
		if (!strcmp(type, "ps"))
			on_ps();
		json_decref(msg);
	}
	fprintf(logged, "closed %d\n", r);
	json_decref(path);
	fclose(logged);
	return 0;
}
