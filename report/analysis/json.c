/* SPDX-License-Identifier: MIT */
/*
 * The document `loopscope.report/1` of docs/report-json.md. Every key is there; what the capture
 * does not hold is null or empty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/internal.h"
#include "analysis/json_rows.h"
#include "analysis/rules.h"
#include "base/clock.h"

/* json_pack() takes NULL from a nested call as its own failure and frees the rest. */

static json_t *wall_time(uint64_t ns)
{
	time_t s = (time_t)(ns / LSC_NS_PER_S);
	struct tm tm;
	char text[64], date[32];

	if (ns == ANALYSIS_UNKNOWN || !gmtime_r(&s, &tm))
		return json_null();
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09lluZ", date, (unsigned long long)(ns % LSC_NS_PER_S));
	return json_string(text);
}

/* A list of n rows, each made by make(a, i); gives, or NULL out of memory. */
typedef json_t *make_row(const struct analysis *a, size_t i);

static json_t *list(const struct analysis *a, size_t n, make_row *make)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < n; i++)
		if (json_put(rows, make(a, i)) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *target(const struct analysis *a, size_t i)
{
	const struct store_target *t = &a->targets[i];

	return json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "id", json_id(t->id), "pid",
			 t->pid, "ns_pid", json_id(t->ns_pid), "comm", json_text(t->comm), "exe",
			 json_text(t->exe), "runtime", json_text(t->runtime), "runtime_version",
			 json_text(t->runtime_version), "cgroup", json_text(t->cgroup));
}

static json_t *mode(const struct analysis *a, size_t i)
{
	static const char *const modes[] = {"default", "precise", "fentry", "ring"};
	const struct store_mode_span *m = &a->modes[i];

	return json_pack("{s:o, s:o, s:s, s:o}", "from_ns", json_when(a, m->from_ns), "to_ns",
			 json_when(a, m->to_ns), "mode", modes[m->mode], "loop", json_id(m->loop));
}

static json_t *overhead_step(const struct analysis *a, size_t i)
{
	return json_pack("{s:o, s:o}", "ts_ns", json_when(a, a->overhead[i].ts_ns), "what",
			 json_text(a->overhead[i].what));
}

static json_t *unseen(const struct analysis *a, size_t i)
{
	return json_pack("{s:o, s:o}", "what", json_text(a->unseen[i].what), "why",
			 json_text(a->unseen[i].why));
}

static json_t *unresolved(const struct analysis *a, size_t i)
{
	return json_pack("{s:o, s:o, s:o}", "what", json_text(a->unresolved[i].what), "why",
			 json_text(a->unresolved[i].why), "count", json_count(a->unresolved[i].n));
}

static json_t *lost(const struct analysis *a)
{
	json_t *j = json_object();

	for (int i = 0; j && i < LSC_LOSS_COUNT; i++)
		if (a->lost[i] &&
		    json_object_set_new(j, lsc_loss_name(i), json_count(a->lost[i]))) {
			json_decref(j);
			return NULL;
		}
	return j;
}

static json_t *capture(const struct analysis *a)
{
	json_t *j = json_pack(
		"{s:o, s:o, s:{s:o, s:o, s:o, s:o}, s:o, s:{s:o, s:o}, s:o, s:{s:o, s:o, s:o}, "
		"s:o}",
		"start", wall_time(a->start_wall_ns), "duration_ns",
		json_known(analysis_duration_ns(a)), "clock", "start_monotonic_ns",
		json_known(a->start_ns), "start_realtime_ns", json_known(a->start_wall_ns),
		"end_monotonic_ns", json_known(a->end_ns), "end_realtime_ns",
		json_known(a->end_wall_ns), "mode", json_text(a->mode), "end", "reason",
		json_text(a->end_reason), "exit_status", json_known(a->exit_status), "targets",
		list(a, a->ntargets, target), "thresholds", "stall_ns", json_known(a->stall_ns),
		"block_ns", json_known(a->block_ns), "ready_wait_ns", json_known(a->ready_wait_ns),
		"coverage", a->coverage < 0 ? json_null() : json_real(a->coverage));
	json_t *more = json_pack(
		"{s:{s:o, s:o}, s:o, s:o, s:{s:o, s:o, s:o, s:o}, s:o, s:o}", "events", "emitted",
		json_known(a->emitted), "stored", json_known(a->stored), "lost", lost(a), "modes",
		list(a, a->nmodes, mode), "overhead", "bpf_ns", json_known(a->bpf_ns),
		"collector_cpu_ns", json_known(a->cpu_ns), "method", json_text(a->overhead_method),
		"steps", list(a, a->noverhead, overhead_step), "unseen",
		list(a, a->nunseen, unseen), "unresolved", list(a, a->nunresolved, unresolved));

	if (!j || !more || json_object_update(j, more)) {
		json_decref(j);
		j = NULL;
	}
	json_decref(more);
	return j;
}

static json_t *lag(const struct lsc_histogram *h)
{
	if (!h)
		return json_null();
	json_t *slots = json_array();
	for (uint32_t i = 0; slots && i < LSC_HIST_SLOTS; i++)
		if (h->slot[i] &&
		    json_put(slots, json_pack("[o, o]", json_count(lsc_hist_slot_low(i)),
					      json_count(h->slot[i]))) < 0) {
			json_decref(slots);
			return NULL;
		}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "p50_ns",
			 json_count(lsc_hist_quantile(h, 0.5)), "p90_ns",
			 json_count(lsc_hist_quantile(h, 0.9)), "p99_ns",
			 json_count(lsc_hist_quantile(h, 0.99)), "max_ns", json_count(h->max_ns),
			 "histogram", slots);
}

static json_t *loop(const struct analysis *a, size_t i)
{
	const struct store_loop *l = &a->loops[i];
	const struct store_target *t = analysis_target_of(a, l->target);
	uint64_t seen = add_sat(l->busy_ns, l->idle_ns);
	const char *source = l->source == STORE_SOURCE_BPF    ? "bpf"
			     : l->source == STORE_SOURCE_RING ? "ring"
			     : l->source == STORE_SOURCE_BOTH ? "both"
							      : NULL;

	return json_pack(
		"{s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:o, "
		"s:o, s:o}",
		"id", json_id(l->id), "target", json_id(l->target), "pid",
		t ? json_integer(t->pid) : json_null(), "tid", l->tid, "comm", json_text(l->comm),
		"source", json_text(source), "runtime", json_text(l->runtime), "primary_wait",
		"syscall", json_text(l->wait_syscall), "fd",
		l->wait_fd >= 0 ? json_integer(l->wait_fd) : json_null(), "first_ns",
		json_when(a, l->first_ns), "last_ns", json_when(a, l->last_ns), "ticks",
		json_count(l->ticks), "busy_ns", json_count(l->busy_ns), "idle_ns",
		json_count(l->idle_ns), "runqueue_ns", json_count(l->runqueue_ns), "utilization",
		seen ? json_real((double)l->busy_ns / (double)seen) : json_null(), "lag",
		lag(l->lag), "stall_count", json_count(l->stall_count), "stalled_ns",
		json_count(l->stalled_ns));
}

static json_t *ready_wait(const struct analysis_task *t)
{
	if (!t->has_ready_wait)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "p50_ns", json_count(t->ready_p50_ns), "p99_ns",
			 json_count(t->ready_p99_ns), "max_ns", json_count(t->ready_max_ns),
			 "total_ns", json_count(t->ready_total_ns));
}

/* Without a ring nobody counted. */
static json_t *of_ring(const struct store_task *row, uint64_t n)
{
	return json_known(row->ring_id ? n : ANALYSIS_UNKNOWN);
}

static json_t *task(const struct analysis_task *t, const struct analysis *a)
{
	const struct store_task *row = &t->row;

	return json_pack(
		"{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
		json_id(row->id), "loop", json_id(row->loop), "name", json_text(row->name), "kind",
		store_task_kind_name(row->kind), "spawn_site",
		json_site(row->spawn_site.function, row->spawn_site.file, row->spawn_site.line),
		"parent", json_id(row->parent), "state", json_text(row->state), "created_ns",
		json_when(a, row->created_ns), "ended_ns", json_when(a, row->ended_ns),
		"waiting_on", json_text(row->waiting_on), "awaits", json_id(row->awaits), "steps",
		of_ring(row, row->steps), "run_ns", of_ring(row, row->run_ns), "max_step_ns",
		of_ring(row, row->max_step_ns), "ready_wait", ready_wait(t));
}

static int task_by_interest(const void *x, const void *y)
{
	const struct analysis_task *a = *(const struct analysis_task *const *)x;
	const struct analysis_task *b = *(const struct analysis_task *const *)y;

	if (a->referenced != b->referenced)
		return a->referenced ? -1 : 1;
	if (a->row.max_step_ns != b->row.max_step_ns)
		return a->row.max_step_ns > b->row.max_step_ns ? -1 : 1;
	return (a->row.id > b->row.id) - (a->row.id < b->row.id);
}

static int task_by_id(const void *x, const void *y)
{
	const struct analysis_task *a = *(const struct analysis_task *const *)x;
	const struct analysis_task *b = *(const struct analysis_task *const *)y;

	return (a->row.id > b->row.id) - (a->row.id < b->row.id);
}

/* Those that something else names come first, then those with the longest steps. */
static json_t *tasks(const struct analysis *a)
{
	size_t n = a->ntasks < ANALYSIS_TASKS_MAX ? a->ntasks : ANALYSIS_TASKS_MAX;
	const struct analysis_task **order = calloc(a->ntasks + 1, sizeof(*order));
	json_t *rows = order ? json_array() : NULL;

	for (size_t i = 0; rows && i < a->ntasks; i++)
		order[i] = &a->tasks[i];
	if (rows && a->ntasks) {
		qsort(order, a->ntasks, sizeof(*order), task_by_interest);
		qsort(order, n, sizeof(*order), task_by_id);
	}
	for (size_t i = 0; rows && i < n; i++)
		if (json_put(rows, task(order[i], a)) < 0) {
			json_decref(rows);
			rows = NULL;
		}
	free(order);
	return rows;
}

static json_t *stall(const struct analysis *a, size_t i)
{
	return json_stall(a, &a->stalls[i]);
}

static json_t *stack(const struct analysis *a, size_t i)
{
	return json_stack(&a->stacks[i]);
}

static json_t *blame(const struct analysis *a, size_t i)
{
	const struct blame *b = &a->blame[i];

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "culprit", json_id(b->culprit), "victim",
			 json_id(b->victim), "culprit_name", json_text(b->culprit_name),
			 "victim_name", json_text(b->victim_name), "count", json_count(b->count),
			 "wait_ns", json_count(b->wait_ns));
}

static json_t *mark(const struct analysis *a, size_t i)
{
	return json_mark(a, &a->marks[i], true);
}

static json_t *marks(const struct analysis *a)
{
	size_t n = a->nmarks < ANALYSIS_SAID_MAX ? a->nmarks : ANALYSIS_SAID_MAX;

	return json_pack("{s:o, s:o, s:o}", "count", json_count(a->nmarks), "list",
			 list(a, n, mark), "omitted", json_count(a->nmarks - n));
}

static json_t *counter(const struct analysis *a, size_t i)
{
	const struct store_counter *c = &a->counters[i];

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "loop", json_id(c->loop),
			 "name", json_text(c->name), "count", json_count(c->count), "first_ns",
			 json_when(a, c->first_ns), "last_ns", json_when(a, c->last_ns), "last",
			 json_integer(c->last), "min", json_integer(c->min), "max",
			 json_integer(c->max));
}

static json_t *stack_use(const struct analysis *a, size_t i)
{
	const struct stack_use *u = &a->stack_uses[i];

	return json_pack("{s:o, s:o, s:o, s:o}", "target", json_id(u->target), "spawn_site",
			 json_site(u->site.function, u->site.file, u->site.line), "used_bytes",
			 json_count(u->used), "size_bytes",
			 u->size ? json_count(u->size) : json_null());
}

static json_t *profile(const struct analysis *a, size_t i)
{
	const struct profile *p = &a->profiles[i];
	json_t *samples = json_array();

	for (size_t k = 0; samples && k < p->nstacks; k++)
		if (json_put(samples, json_pack("{s:o, s:o}", "stack", json_id(p->stacks[k].stack),
						"ns", json_count(p->stacks[k].ns))) < 0) {
			json_decref(samples);
			samples = NULL;
		}
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", p->kind == PROFILE_CPU ? "cpu" : "blocked",
			 "loop", json_id(p->loop), "samples", samples, "omitted",
			 json_count(p->omitted));
}

static json_t *ids(const struct id_list *l)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < l->n; i++)
		if (json_put(rows, json_integer(l->ids[i])) < 0) {
			json_decref(rows);
			return NULL;
		}
	return rows;
}

static json_t *evidence(const struct analysis *a, const struct finding *f)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows && i < f->nevidence; i++) {
		const struct evidence *e = &f->evidence[i];

		if (json_put(rows, json_pack("{s:s, s:o, s:o, s:o, s:o}", "kind", e->kind, "id",
					     json_id(e->id), "start_ns", json_when(a, e->start_ns),
					     "ns", json_known(e->ns), "text", json_text(e->text))) <
		    0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

json_t *report_finding_json(const struct analysis *a, const struct finding *f)
{
	return json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:n}",
		"rule", f->rule->id, "severity", severity_name(f->severity), "confidence",
		f->inferred ? "inferred" : "observed", "loops", ids(&f->loops), "count",
		json_count(f->count), "total_ns", json_count(f->total_ns), "worst_ns",
		json_count(f->worst_ns), "site",
		json_site(f->site.function, f->site.file, f->site.line), "syscall",
		json_text(f->syscall), "tasks", ids(&f->tasks), "message", json_text(f->message),
		"fix", json_text(f->fix), "fingerprint", f->fingerprint, "evidence", evidence(a, f),
		"stall_ids", ids(&f->stalls), "suppressed");
}

static json_t *finding(const struct analysis *a, size_t i)
{
	return report_finding_json(a, &a->findings[i]);
}

json_t *report_json(const struct analysis *a)
{
	size_t ntasks = a->ntasks < ANALYSIS_TASKS_MAX ? a->ntasks : ANALYSIS_TASKS_MAX;

	return json_pack(
		"{s:s, s:{s:s, s:s}, s:{s:o, s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o, s:o, s:o, s:o, s:o, s:o}",
		"schema", "loopscope.report/1", "tool", "name", "loopscope", "version", LSC_VERSION,
		"host", "hostname", json_text(a->hostname), "kernel", json_text(a->kernel), "arch",
		json_text(a->arch), "cpus", json_known(a->cpus), "boot_id", json_text(a->boot_id),
		"capture", capture(a), "loops", list(a, a->nloops, loop), "tasks", tasks(a),
		"omitted", json_count(a->ntasks - ntasks), "stalls", list(a, a->nstalls, stall),
		"stacks", list(a, a->nstacks, stack), "findings", list(a, a->nfindings, finding),
		"blame", list(a, a->nblame, blame), "profiles", list(a, a->nprofiles, profile),
		"marks", marks(a), "counters", list(a, a->ncounters, counter), "stack_uses",
		list(a, a->nstack_uses, stack_use));
}
