/* SPDX-License-Identifier: MIT */
/* One that sleeps is read where it sleeps; of one that runs the kernel takes one sample. */
#include "held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "control.h"
#include "evidence.h"
#include "look.h"
#include "snapshot.h"
#include "syscall.h"

#define TEXT_MAX 256
#define HELD	 0.8 /* of the time between the looks it ran, or would have */

struct held {
	struct look *look;
	int pid;
	uint64_t since_ns; /* of the first look */
	struct look_view first;
	uint64_t first_ran_ns;
	int nr; /* the system call that it sleeps in, -1 none */
	bool runs;
	bool kept; /* it slept on until what was read of its stack was kept */
	struct snapshot sample;
	json_t *frames; /* owned; NULL not known */
};

/* What a process's first thread has run, and has waited to run; 0 unknown. */
static uint64_t ran_ns(int pid)
{
	char path[64];
	unsigned long long ran, waited;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, pid);
	lsc_autofclose FILE *f = fopen(path, "re");
	return f && fscanf(f, "%llu %llu", &ran, &waited) == 2 ? ran + waited : 0;
}

struct held *held_begin(int pid)
{
	struct held *h = calloc(1, sizeof(*h));
	struct lsc_err err;

	if (!h)
		return NULL;
	h->pid = pid;
	if (look_new(&h->look, &err) < 0 || look_at(h->look, pid, &h->first) < 0)
		return held_free(h);
	h->since_ns = lsc_now_ns();
	h->first_ran_ns = ran_ns(pid);
	return h;
}

struct held *held_free(struct held *h)
{
	if (!h)
		return NULL;
	look_free(h->look);
	json_decref(h->frames);
	free(h);
	return NULL;
}

static int find_first(const struct target_thread *t, void *arg)
{
	struct held *h = arg;

	if (t->tid != h->pid)
		return 0;
	h->nr = t->nr;
	return 1;
}

bool held_is(struct held *h)
{
	struct look_view now;

	h->nr = -1;
	if (look_at(h->look, h->pid, &now) < 0)
		return false;
	if (look_stood_still(&h->first, &now)) {
		target_each_thread(h->pid, find_first, h);
		return true;
	}
	uint64_t ran = ran_ns(h->pid), elapsed = lsc_now_ns() - h->since_ns;
	h->runs = h->first_ran_ns && (double)(ran - h->first_ran_ns) >= HELD * (double)elapsed &&
		  snapshot_take(h->pid, &h->sample) == 0;
	return h->runs;
}

int held_unwind(struct held *h, struct inspector *ins, uint64_t cookie, int ns_tid)
{
	struct inspector_sleeper sleeper = {.regs = (const uint64_t *)h->first.regs,
					    .python = ns_tid};

	return h->runs ? inspector_unwind(ins, cookie, h->pid, h->pid, h->sample.regs,
					  h->sample.stack, h->sample.size)
		       : inspector_unwind_asleep(ins, cookie, h->pid, h->pid, &sleeper);
}

static bool stands_still(const struct held *h)
{
	struct look_view now;

	return look_at(h->look, h->pid, &now) == 0 && look_stood_still(&h->first, &now);
}

bool held_take(struct held *h, const struct inspector_result *r)
{
	const char *names[LIVE_FRAMES];

	if (r->keeps) {
		h->kept = stands_still(h);
		return false;
	}
	if (!h->runs && !(r->kept ? h->kept : stands_still(h)))
		return true; /* it ran on while it was read */
	size_t n = stack_names(r, names);
	if (n)
		h->frames = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(h->frames, control_text(names[i], TEXT_MAX));
		free((char *)names[i]);
	}
	return true;
}

json_t *held_json(const struct held *h)
{
	json_t *comm = control_text(h->first.comm, sizeof(h->first.comm));

	return json_pack("{s:i, s:o, s:s, s:o, s:I, s:o}", "tid", h->pid, "comm",
			 comm ? comm : json_null(), "state", h->runs ? "runs" : "sleeps", "syscall",
			 h->runs || h->nr < 0 ? json_null() : json_string(syscall_name(h->nr)),
			 "for_ns", (json_int_t)(lsc_now_ns() - h->since_ns), "frames",
			 h->frames ? json_incref(h->frames) : json_null());
}
