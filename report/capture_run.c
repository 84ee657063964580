/* SPDX-License-Identifier: MIT */
/* The small face of capture() that check uses. Notices go to stderr: check has no other place for
 * them. */
#include "capture_run.h"

#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "command.h"
#include "field.h"

static void on_message(const json_t *msg, void *arg)
{
	const struct capture_request *req = arg;
	const char *text = field_text(msg, "text");

	if (!req->quiet && text && !strcmp(field_text(msg, "type"), "notice"))
		command_complain("check", text);
}

int capture_run(const struct capture_request *req, int *ret_command_status, struct lsc_err *err,
		int *ret_exit_code)
{
	struct capture_options o;
	struct capture_result result;

	capture_options_init(&o);
	o.pids = (struct capture_ids){(int *)req->pids, req->npids};
	o.command = req->command;
	o.user = req->user;
	o.output = req->output;
	o.require = req->require;
	o.follow = true;
	o.duration_ns = req->duration_ns;
	if (req->stall_ns)
		o.stall_ns = req->stall_ns;
	int r = capture(&o, on_message, (void *)req, &result, err);
	*ret_command_status = result.command_status;
	*ret_exit_code = result.exit_code;
	return r;
}
