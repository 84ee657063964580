/* SPDX-License-Identifier: MIT */
/* The server's side of the control protocol. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collector.h"
#include "control.h"
#include "doctor.h"
#include "outbox.h"
#include "ps.h"

#define MAX_PIDS    8192 /* more than fit into a message */
#define MAX_NAMES   64
#define PATIENCE_NS (10 * LSC_NS_PER_S) /* with a client that is slow to read what it counts on */

struct session {
	struct collector *collector;
	struct outbox out;
	bool over; /* nothing more to do */
	bool told_ready;
	bool recording;	     /* the client waits for its command and tells how it ended */
	uint64_t stop_at_ns; /* of -d; UINT64_MAX none */
	uint64_t duration_ns;
	char output[4096];
};

/* ---- sending ---- */

/* What happens meanwhile. A client that does not read loses it: the capture is the record. */
static void send_live(struct session *s, json_t *msg)
{
	outbox_offer(&s->out, msg);
}

/* What the client waits for. It is waited for, too, unless something is being watched. */
static void send_message(struct session *s, json_t *msg)
{
	outbox_put(&s->out, msg);
	if (!s->collector)
		outbox_drain(&s->out, PATIENCE_NS);
}

static void send_error(struct session *s, int code, const char *text)
{
	json_t *t = control_text(text, 1000);

	send_message(s, json_pack("{s:s, s:i, s:o}", "type", "error", "code", code, "text",
				  t ? t : json_null()));
	s->over = true;
}

static void tell_notice(const char *text, void *arg)
{
	json_t *t = control_text(text, 1000);

	send_live(arg, json_pack("{s:s, s:o}", "type", "notice", "text", t ? t : json_null()));
}

static json_t *text_or_null(const char *s)
{
	json_t *t = control_text(s, 1000);

	return t ? t : json_null();
}

static void tell_loop(const struct collector_loop *l, void *arg)
{
	static const char *const sources[] = {"none", "bpf", "ring", "both"};

	send_live(arg, json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:i, s:s}", "type", "loop", "pid",
				 l->pid, "tid", l->tid, "comm", text_or_null(l->comm), "runtime",
				 text_or_null(l->runtime), "syscall", text_or_null(l->syscall),
				 "fd", l->fd, "source", sources[l->source & 3]));
}

static json_t *live_task(const struct store_task *t)
{
	if (!t)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o, s:i}", "name", text_or_null(t->name), "kind",
			 store_task_kind_name(t->kind), "function",
			 text_or_null(t->spawn_site.function), "file",
			 text_or_null(t->spawn_site.file), "line", t->spawn_site.line);
}

static json_t *live_frames(const char *const *frames, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, text_or_null(frames[i]));
	return list;
}

static json_t *live_owner(const struct collector_stall *l)
{
	if (!l->longest || !l->longest->owner_tid)
		return json_null();
	return json_pack("{s:i, s:o, s:o}", "tid", l->longest->owner_tid, "comm",
			 text_or_null(l->longest->owner_comm), "frames",
			 live_frames(l->owner_frames, l->nowner_frames));
}

static json_t *live_mark(const struct collector_stall *l)
{
	if (!l->mark)
		return json_null();
	return json_pack("{s:o, s:I}", "text", text_or_null(l->mark), "into_ns",
			 (json_int_t)(l->mark_ns - l->row->start_ns));
}

static void tell_stall(const struct collector_stall *l, void *arg)
{
	json_t *args = NULL, *victims = json_null();
	const struct feed_victims *who = &l->victims;
	int64_t wall = lsc_wall_ns() - (int64_t)(lsc_now_ns() - l->row->start_ns);

	if (l->longest && l->longest->args_json)
		args = json_loads(l->longest->args_json, JSON_REJECT_DUPLICATES, NULL);
	if (who->max_ns)
		victims = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "count",
				    (json_int_t)(who->count[STORE_WAIT_TASK] +
						 who->count[STORE_WAIT_SOCKET] +
						 who->count[STORE_WAIT_TIMER]),
				    "tasks", (json_int_t)who->count[STORE_WAIT_TASK], "sockets",
				    (json_int_t)who->count[STORE_WAIT_SOCKET], "timers",
				    (json_int_t)who->count[STORE_WAIT_TIMER], "sum_wait_ns",
				    (json_int_t)who->sum_ns, "max_wait_ns", (json_int_t)who->max_ns,
				    "worst", text_or_null(who->worst));
	send_live(arg, json_pack("{s:s, s:i, s:i, s:o, s:I, s:I, s:I, s:b, s:s, s:o, s:o, s:o, "
				 "s:o, s:o, s:o, s:o}",
				 "type", "stall", "pid", l->pid, "tid", l->tid, "comm",
				 text_or_null(l->comm), "start_ns", (json_int_t)l->row->start_ns,
				 "start_wall_ns", (json_int_t)wall, "duration_ns",
				 (json_int_t)l->row->duration_ns, "in_progress",
				 l->row->in_progress, "cause", lsc_cause_name((int)l->cause),
				 "syscall", text_or_null(l->longest ? l->longest->syscall : NULL),
				 "args", args ? args : json_null(), "task", live_task(l->task),
				 "frames", live_frames(l->frames, l->nframes), "owner",
				 live_owner(l), "victims", victims, "mark", live_mark(l)));
}

static const struct collector_ops ops = {
	.loop = tell_loop, .stall = tell_stall, .notice = tell_notice};

/* ---- reading a request ---- */

static int64_t int_field(const json_t *msg, const char *key, int64_t fallback)
{
	const json_t *v = json_object_get(msg, key);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static uint64_t u64_field(const json_t *msg, const char *key, uint64_t fallback)
{
	int64_t v = int_field(msg, key, -1);

	return v < 0 ? fallback : (uint64_t)v;
}

static double share_field(const json_t *msg, const char *key, double fallback)
{
	double v = json_number_value(json_object_get(msg, key));

	return v > 0 && v <= 1024 ? v : fallback;
}

static size_t ints_field(const json_t *msg, const char *key, int *out, size_t max)
{
	const json_t *array = json_object_get(msg, key), *v;
	size_t i, n = 0;

	json_array_foreach(array, i, v)
		if (n < max && json_is_integer(v) && json_integer_value(v) > 0 &&
		    json_integer_value(v) <= INT32_MAX)
			out[n++] = (int)json_integer_value(v);
	return n;
}

/* The texts of an array, borrowed from msg. */
static size_t texts_field(const json_t *msg, const char *key, const char **out, size_t max)
{
	const json_t *array = json_object_get(msg, key), *v;
	size_t i, n = 0;

	json_array_foreach(array, i, v)
		if (n < max && json_is_string(v))
			out[n++] = json_string_value(v);
	return n;
}

static void begin_job(struct session *s, const json_t *msg)
{
	struct lsc_err err = {0};
	lsc_autofree int *pids = calloc(MAX_PIDS, sizeof(*pids));
	lsc_autofree int *tids = calloc(MAX_PIDS, sizeof(*tids));
	lsc_autofree int *loop_threads = calloc(MAX_PIDS, sizeof(*loop_threads));
	const char *output = json_string_value(json_object_get(msg, "output"));
	const char *names[MAX_NAMES];
	const char *mode = json_string_value(json_object_get(msg, "mode"));
	const char *require = json_string_value(json_object_get(msg, "require"));
	int exit_status = 4;

	if (s->collector || !pids || !tids || !loop_threads || !output || !output[0] ||
	    strlen(output) >= sizeof(s->output)) {
		send_error(s, 2,
			   s->collector ? "one job a connection"
					: "the request names no output file");
		return;
	}
	strcpy(s->output, output);
	struct collector_options o = {
		.pids = pids,
		.npids = ints_field(msg, "pids", pids, MAX_PIDS),
		.names = names,
		.nnames = texts_field(msg, "names", names, MAX_NAMES),
		.cgroup = json_string_value(json_object_get(msg, "cgroup")),
		.tids = tids,
		.ntids = ints_field(msg, "tids", tids, MAX_PIDS),
		.loop_threads = loop_threads,
		.nloop_threads = ints_field(msg, "loop_threads", loop_threads, MAX_PIDS),
		.mode = mode && !strcmp(mode, "record") ? "record" : "attach",
		.command = json_string_value(json_object_get(msg, "command")),
		.follow = json_is_true(json_object_get(msg, "follow")),
		.stall_ns = u64_field(msg, "stall_ns", 10 * LSC_NS_PER_MS),
		.block_ns = u64_field(msg, "block_ns", LSC_NS_PER_MS),
		.ready_wait_ns = u64_field(msg, "ready_wait_ns", 5 * LSC_NS_PER_MS),
		.max_overhead = share_field(msg, "max_overhead", 0.01),
		.print_ns = u64_field(msg, "print_ns", 50 * LSC_NS_PER_MS),
		.require = !require		     ? REQUIRE_ANY
			   : !strcmp(require, "bpf") ? REQUIRE_BPF
						     : REQUIRE_RING,
		.output = s->output,
		.file = {.overwrite = json_is_true(json_object_get(msg, "overwrite")),
			 .owner = (uid_t)int_field(msg, "owner_uid", -1),
			 .group = (gid_t)int_field(msg, "owner_gid", -1),
			 .max_bytes = u64_field(msg, "max_bytes", 0)},
	};
	if (collector_new(&o, &ops, s, &s->collector, &exit_status, &err) < 0) {
		s->collector = NULL;
		send_error(s, exit_status, err.text);
		return;
	}
	s->duration_ns = u64_field(msg, "duration_ns", 0);
	s->recording = !strcmp(o.mode, "record");
}

/* Something lies where the capture was to be: the same as when that is seen at the begin. */
static bool is_taken(int r)
{
	return r == -EEXIST || r == -ETXTBSY || r == -EBADMSG || r == -ELOOP || r == -EISDIR;
}

static void end_job(struct session *s, const char *reason, int exit_status)
{
	struct collector_summary sum;
	struct lsc_err err = {0};

	s->over = true;
	if (!s->collector)
		return;
	int r = collector_finish(s->collector, reason, exit_status, &sum, &err);
	s->collector = NULL;
	if (r == -EBUSY) { /* complete; somebody looks on */
		tell_notice(err.text, s);
	} else if (r < 0) {
		send_error(s, is_taken(r) ? 2 : 125, err.text);
		return;
	}
	s->out.told = s->out.left_out; /* by the end itself, after which there is nothing */
	send_message(s, json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, "
				  "s:I}",
				  "type", "end", "reason", reason, "path", text_or_null(s->output),
				  "stalls", (json_int_t)sum.stalls, "blocks",
				  (json_int_t)sum.blocks, "loops", (json_int_t)sum.loops, "lost",
				  (json_int_t)sum.lost, "emitted", (json_int_t)sum.emitted,
				  "stored", (json_int_t)sum.stored, "coverage", sum.coverage,
				  "duration_ns", (json_int_t)sum.duration_ns, "worst_ns",
				  (json_int_t)sum.worst_ns, "untold", (json_int_t)s->out.left_out));
}

/* The answer comes in several messages. */
static void send_ps(json_t *msg, void *arg)
{
	send_message(arg, msg);
}

static void run_ps(struct session *s, int pid)
{
	struct lsc_err err = {0};

	if (ps_run(pid, send_ps, s, &err) < 0)
		send_error(s, 4, err.text);
	s->over = true;
}

static void on_message(struct session *s, const json_t *msg)
{
	const char *type = json_string_value(json_object_get(msg, "type"));

	if (!type)
		return;
	if (!strcmp(type, "hello")) {
		if (int_field(msg, "version", 0) < 1)
			send_error(s, 2, "the client speaks no version that this loopscoped knows");
		else
			send_message(s, json_pack("{s:s, s:i, s:s}", "type", "hello", "version",
						  CONTROL_VERSION, "tool_version", LSC_VERSION));
	} else if (!strcmp(type, "attach")) {
		begin_job(s, msg);
	} else if (!strcmp(type, "stop")) {
		int status = (int)int_field(msg, "exit_status", -1);
		end_job(s, status >= 0 ? "target-exit" : "user", status);
	} else if (!strcmp(type, "doctor")) {
		send_message(s, doctor_run((int)int_field(msg, "pid", 0)));
		s->over = true;
	} else if (!strcmp(type, "ps")) {
		run_ps(s, (int)int_field(msg, "pid", 0));
	}
}

static void tell_ready(struct session *s)
{
	lsc_autofree int *pids = calloc(MAX_PIDS, sizeof(*pids));
	size_t n = collector_pids(s->collector, pids, pids ? MAX_PIDS : 0);
	json_t *list = json_array();

	for (size_t i = 0; pids && i < n && i < MAX_PIDS; i++)
		json_array_append_new(list, json_integer(pids[i]));
	s->told_ready = true;
	s->stop_at_ns = s->duration_ns ? lsc_now_ns() + s->duration_ns : UINT64_MAX;
	send_message(s, json_pack("{s:s, s:o, s:I, s:o}", "type", "ready", "pids", list, "loops",
				  (json_int_t)collector_loops(s->collector), "path",
				  text_or_null(s->output)));
}

/* How long to wait for the next thing that happens. NULL: for as long as it takes. */
static const struct timespec *patience(const struct session *s, struct timespec *t)
{
	if (!s->collector)
		return NULL;
	uint64_t now = lsc_now_ns(), at = collector_deadline_ns(s->collector);
	uint64_t ns = at > now ? at - now : 0;

	*t = (struct timespec){.tv_sec = (time_t)(ns / LSC_NS_PER_S),
			       .tv_nsec = (long)(ns % LSC_NS_PER_S)};
	return t;
}

int session_run(int fd, const volatile sig_atomic_t *stopping)
{
	struct session s = {.out = {.fd = fd}, .stop_at_ns = UINT64_MAX};
	int flags = fcntl(fd, F_GETFL), r = 0;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	while (!s.over) {
		struct pollfd p[2] = {
			{.fd = fd, .events = outbox_waits(&s.out) ? POLLIN | POLLOUT : POLLIN},
			{.fd = s.collector ? collector_fd(s.collector) : -1, .events = POLLIN}};
		struct timespec t;
		if (ppoll(p, 2, patience(&s, &t), NULL) < 0 && errno != EINTR) {
			r = -errno;
			break;
		}
		if (p[0].revents & POLLOUT)
			outbox_flush(&s.out);
		if (p[0].revents & ~POLLOUT) {
			json_t *msg = NULL;
			int got = control_recv(fd, &msg);
			if (got == 1) {
				on_message(&s, msg);
				json_decref(msg);
			} else if (got == -EBADMSG) {
				send_error(&s, 2,
					   "the client's message is not of the control protocol");
			} else if (got != -EAGAIN) { /* gone without a stop */
				end_job(&s, "abort", -1);
			}
		}
		if (*stopping)
			end_job(&s, "abort", -1);
		if (!s.collector)
			continue;
		collector_dispatch(s.collector, p[1].revents != 0);
		if (collector_is_refused(s.collector)) {
			end_job(&s, "error", -1);
			continue;
		}
		if (!s.told_ready && collector_is_ready(s.collector))
			tell_ready(&s);
		if (collector_is_over(s.collector) && !s.recording)
			end_job(&s, "target-exit", -1);
		else if (collector_is_full(s.collector) && !s.recording)
			end_job(&s, "size", -1);
		else if (lsc_now_ns() >= s.stop_at_ns)
			end_job(&s, "duration", -1);
	}
	if (s.collector)
		end_job(&s, "error", -1);
	outbox_done(&s.out);
	return r;
}
