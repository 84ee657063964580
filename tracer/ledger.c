/* SPDX-License-Identifier: MIT */
/*
 * The ledger of a job: what was emitted, what was stored, what was lost and why; and what is known
 * of the host and of the capture as a whole.
 */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/duration.h"

void ledger_lose(struct collector *c, enum lsc_loss reason, uint64_t n)
{
	c->lost[reason] += n;
}

/* Said in the capture, too: there is room for it. */
static void tell_full(struct collector *c)
{
	char bound[32], since[32];

	lsc_bytes_format(c->o.file.max_bytes, bound, sizeof(bound));
	lsc_duration_format(lsc_now_ns() - c->start_ns, since, sizeof(since));
	snprintf(c->error, sizeof(c->error),
		 "the capture reached its bound of %s (--max-size) after %s", bound, since);
	store_put_unseen(c->store, "what came later", c->error);
	snprintf(c->error, sizeof(c->error), "the capture reached its bound of %s (--max-size): %s",
		 bound,
		 strcmp(c->o.mode, "record") ? "the watch ends" : "what comes later is lost");
}

void ledger_undo(struct collector *c, enum lsc_loss reason, uint64_t n)
{
	c->stored -= n;
	if (c->committed > c->stored)
		c->committed = c->stored;
	ledger_lose(c, reason, n);
}

int ledger_stored_events(struct collector *c, int r, uint64_t n)
{
	if (r == -EFBIG)
		ledger_undo(c, LSC_LOSS_STORE_FULL, n);
	return ledger_stored(c, r);
}

int ledger_stored(struct collector *c, int r)
{
	if (r >= 0 || c->store_error)
		return r;
	c->store_error = r;
	if (r == -EFBIG)
		tell_full(c);
	else
		snprintf(c->error, sizeof(c->error),
			 "cannot write '%s': %s; what came later is lost", c->o.output,
			 strerror(-r));
	if (r != -EFBIG && r != -EINVAL) { /* what was put since the last commit is gone with it */
		ledger_lose(c, LSC_LOSS_STORE_ERROR, c->stored - c->committed);
		c->stored = c->committed;
	}
	c->ops->notice(c->error, c->arg);
	return r;
}

struct account {
	uint64_t emitted, total, lost[LSC_LOSS_COUNT];
};

/* What the kernel side counts, and what we do. */
static void reckon(const struct collector *c, struct account *ret)
{
	*ret = (struct account){.emitted = c->ring_emitted};
	memcpy(ret->lost, c->lost, sizeof(ret->lost));
	if (c->probe) {
		uint64_t threads = probe_counter(c->probe, COUNT_THREADS_FULL);

		ret->emitted += probe_counter(c->probe, COUNT_EMITTED) + threads;
		ret->lost[LSC_LOSS_BPF_RING_FULL] += probe_counter(c->probe, COUNT_RING_FULL);
		ret->lost[LSC_LOSS_MAP_FULL] += threads;
	}
	for (int i = 0; i < LSC_LOSS_COUNT; i++)
		ret->total += ret->lost[i];
}

/* What was counted since the last time. */
static void put_unresolved(struct collector *c, const char *what, const char *why, uint64_t *n)
{
	if (*n)
		ledger_stored(c, store_add_unresolved(c->store, what, why, *n));
	*n = 0;
}

/* What is missing so far: for those who look on, and if the capture is cut off. */
static void put_gaps(struct collector *c, const struct account *now)
{
	uint64_t sockets = c->probe ? probe_counter(c->probe, COUNT_SOCKETS_FULL) : 0;
	uint64_t more = sockets - c->sockets_full;

	c->sockets_full = sockets;
	put_unresolved(c, "wait of a socket", "room for 16384 sockets and 256 listeners", &more);
	put_unresolved(c, "loop's stacks", "room for those of 128 loops at once", &c->no_room);
	put_unresolved(c, "stack", "no copy was taken", &c->no_stack);
	for (int i = 0; i < LSC_LOSS_COUNT; i++)
		if (now->lost[i])
			store_put_loss(c->store, i, now->lost[i]);
}

void ledger_commit(struct collector *c)
{
	struct account now;

	reckon(c, &now);
	put_gaps(c, &now);
	if (ledger_stored(c, store_commit(c->store)) >= 0)
		c->committed = c->stored;
}

bool collector_is_full(const struct collector *c)
{
	return c->store_error == -EFBIG;
}

void ledger_put_start(struct collector *c)
{
	struct utsname u;
	char boot[64] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f && fgets(boot, sizeof(boot), f))
		boot[strcspn(boot, "\n")] = '\0';
	if (f)
		fclose(f);
	if (uname(&u) == 0) {
		store_meta_put(c->store, STORE_META_HOSTNAME, u.nodename);
		store_meta_put(c->store, STORE_META_KERNEL, u.release);
		store_meta_put(c->store, STORE_META_ARCH, u.machine);
	}
	store_meta_put(c->store, STORE_META_BOOT_ID, boot);
	store_meta_put_int(c->store, STORE_META_CPUS, sysconf(_SC_NPROCESSORS_ONLN));
	store_meta_put(c->store, STORE_META_TOOL_VERSION, LSC_VERSION);
	store_meta_put(c->store, STORE_META_MODE, c->o.mode);
	store_meta_put_int(c->store, STORE_META_START_NS, (int64_t)c->start_ns);
	store_meta_put_int(c->store, STORE_META_START_WALL_NS, c->start_wall_ns);
	store_meta_put_int(c->store, STORE_META_STALL_NS, (int64_t)c->o.stall_ns);
	store_meta_put_int(c->store, STORE_META_BLOCK_NS, (int64_t)c->o.block_ns);
	store_meta_put_int(c->store, STORE_META_READY_WAIT_NS, (int64_t)c->o.ready_wait_ns);
	store_meta_put(c->store, STORE_META_BPF, c->probe ? "1" : "0");
}

static double coverage_of(const struct collector *c, uint64_t emitted, uint64_t lost)
{
	if (!c->watched_ns)
		return 0;
	double seen = 1.0 - (double)c->unsure_ns / (double)c->watched_ns;
	if (emitted)
		seen *= 1.0 - (double)lost / (double)emitted;
	return seen < 0 ? 0 : seen;
}

void ledger_close(struct collector *c, struct collector_summary *sum)
{
	struct account now;

	reckon(c, &now);
	put_gaps(c, &now);
	sum->emitted = now.emitted;
	sum->stored = c->stored;
	sum->lost = now.total;
	/* withdrawn stalls did not happen: they are no gap in what was seen */
	sum->coverage = coverage_of(c, now.emitted, now.total - now.lost[LSC_LOSS_UNCONFIRMED]);
}

void ledger_put_end(struct collector *c, const char *reason, int exit_status,
		    const struct collector_summary *sum)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6f", sum->coverage);
	store_meta_put(c->store, STORE_META_COVERAGE, text);
	store_meta_put_int(c->store, STORE_META_EMITTED, (int64_t)sum->emitted);
	store_meta_put_int(c->store, STORE_META_STORED, (int64_t)sum->stored);
	store_meta_put_int(c->store, STORE_META_END_NS, (int64_t)lsc_now_ns());
	store_meta_put_int(c->store, STORE_META_END_WALL_NS, lsc_wall_ns());
	store_meta_put(c->store, STORE_META_END_REASON, reason);
	if (exit_status >= 0)
		store_meta_put_int(c->store, STORE_META_EXIT_STATUS, exit_status);
	overhead_put(c->overhead);
}

void ledger_unresolved(struct collector *c, const char *what, const char *why)
{
	ledger_stored(c, store_add_unresolved(c->store, what, why, 1));
}

void ledger_no_frames(struct collector *c, const struct loop *l, const char *why)
{
	const char *language = target_language(l->target);
	char what[64];

	snprintf(what, sizeof(what), "frames of %s", language ? language : "its language");
	ledger_unresolved(c, what, why);
}
