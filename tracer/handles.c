/* SPDX-License-Identifier: MIT */
/* Every number is the target's: times are bounded before they are multiplied. */
#include "handles.h"

#include "base/clock.h"
#include "control.h"

#define TEXT_MAX 256
#define MS_MAX	 (INT64_MAX / (int64_t)LSC_NS_PER_MS)

static const char *kind_name(enum inspector_handle_kind kind)
{
	static const char *const names[INSPECTOR_HANDLE_KINDS] = {
		[INSPECTOR_HANDLE_ASYNC] = "async",	  [INSPECTOR_HANDLE_CHECK] = "check",
		[INSPECTOR_HANDLE_FS_EVENT] = "fs-event", [INSPECTOR_HANDLE_FS_POLL] = "fs-poll",
		[INSPECTOR_HANDLE_IDLE] = "idle",	  [INSPECTOR_HANDLE_PIPE] = "pipe",
		[INSPECTOR_HANDLE_POLL] = "poll",	  [INSPECTOR_HANDLE_PREPARE] = "prepare",
		[INSPECTOR_HANDLE_PROCESS] = "process",	  [INSPECTOR_HANDLE_SIGNAL] = "signal",
		[INSPECTOR_HANDLE_TCP] = "tcp",		  [INSPECTOR_HANDLE_TIMER] = "timer",
		[INSPECTOR_HANDLE_TTY] = "tty",		  [INSPECTOR_HANDLE_UDP] = "udp",
	};

	return names[kind];
}

static int64_t ms_to_ns(uint64_t ms)
{
	return (int64_t)(ms < MS_MAX ? ms : MS_MAX) * (int64_t)LSC_NS_PER_MS;
}

/* From now on; 0: it is late, or has run and waits for its loop to find out. */
static json_t *due_of(const struct inspector_handle *h, uint64_t now_ns)
{
	int64_t due = ms_to_ns(h->timeout_ms) - (int64_t)now_ns;

	if (h->kind != INSPECTOR_HANDLE_TIMER || !h->active)
		return json_null();
	return json_integer(due > 0 ? due : 0);
}

json_t *handles_list(const struct inspector_handle *handles, size_t n, const struct watched *w,
		     uint64_t now_ns)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++) {
		const struct inspector_handle *h = &handles[i];
		json_t *callback = control_text(h->callback, TEXT_MAX);
		json_t *o = json_pack(
			"{s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "kind", kind_name(h->kind),
			"active", h->active, "referenced", h->referenced, "closing", h->closing,
			"fd", h->fd < 0 ? json_null() : json_integer(h->fd), "due_ns",
			due_of(h, now_ns), "repeat_ns",
			h->repeat_ms ? json_integer(ms_to_ns(h->repeat_ms)) : json_null(),
			"callback", callback ? callback : json_null(), "number",
			h->number > 0 ? json_integer(h->number) : json_null());
		watched_add_ends(w, h->fd, o);
		json_array_append_new(list, o);
	}
	return list;
}
