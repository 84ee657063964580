/* SPDX-License-Identifier: MIT */
/* Talking to a child through all of its pipes at once, so that neither side waits for the other. */
#include <errno.h>
#include <stdlib.h>

#include "loopscope/future.h"
#include "loopscope/gather.h"
#include "loopscope/io.h"
#include "loopscope/stream.h"
#include "loopscope/task.h"
#include "process.h"
#include "loop.h"

#define PIECE 65536

struct feeding {
	struct lsc_stream *stream;
	const char *data;
	size_t size;
};

struct collecting {
	struct lsc_stream *stream;
	size_t max;
	struct lsc_process_output output;
};

static int feed(void *arg)
{
	struct feeding *f = arg;
	int r = 0;

	while (f->size > 0 && r == 0) {
		size_t piece = f->size < PIECE ? f->size : PIECE;

		r = lsc_stream_write(f->stream, f->data, piece);
		if (r == 0)
			r = lsc_stream_drain(f->stream);
		f->data += piece;
		f->size -= piece;
	}
	lsc_stream_close(f->stream);
	if (r == 0)
		r = lsc_stream_wait_closed(f->stream);
	/* The child need not read its input. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int collect(void *arg)
{
	struct collecting *c = arg;
	ssize_t n = lsc_stream_read_all(c->stream, c->max, &c->output.data);

	if (n < 0)
		return (int)n;
	c->output.length = (size_t)n;
	return 0;
}

/* Runs the tasks to their end; the others are cancelled when one fails. */
static int run_all(struct lsc_future *tasks[3], int n)
{
	struct lsc_future *all = lsc_gather(tasks, (size_t)n, 0);
	int r = all ? lsc_await(all) : -ENOMEM;

	for (int i = 0; i < n; i++) {
		if (r < 0)
			lsc_cancel(tasks[i]);
		/* They use our stack: a further request to end waits for them, too. */
		while (!lsc_is_done(tasks[i]))
			lsc_await(tasks[i]);
	}
	lsc_unref(all);
	return r;
}

int lsc_process_communicate(struct lsc_process *process, const void *input, size_t size, size_t max,
			    struct lsc_process_output *ret_output,
			    struct lsc_process_output *ret_error, int *ret_status)
{
	struct feeding in = {process->streams[0], input, size};
	struct collecting out = {process->streams[1], max, {NULL, 0}};
	struct collecting err = {process->streams[2], max, {NULL, 0}};
	struct lsc_future *tasks[3];
	int n = 0, r = 0;

	if (!task_current())
		return -EPERM;
	process_hold(process);
	if (in.stream)
		tasks[n++] = lsc_spawn(feed, &in, "stdin");
	if (out.stream)
		tasks[n++] = lsc_spawn(collect, &out, "stdout");
	if (err.stream)
		tasks[n++] = lsc_spawn(collect, &err, "stderr");
	int made = 0;
	for (int i = 0; i < n; i++)
		if (tasks[i])
			tasks[made++] = tasks[i];
	if (made < n)
		for (int i = 0; i < made; i++)
			lsc_cancel(tasks[i]);
	r = run_all(tasks, made);
	if (made < n)
		r = -ENOMEM;
	for (int i = 0; i < made; i++)
		lsc_unref(tasks[i]);
	if (r == 0)
		r = lsc_process_wait(process, ret_status);
	if (r == 0 && ret_output)
		*ret_output = out.output;
	else
		free(out.output.data);
	if (r == 0 && ret_error)
		*ret_error = err.output;
	else
		free(err.output.data);
	process_release(process);
	return r;
}
