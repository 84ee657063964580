/* SPDX-License-Identifier: MIT */
/*
 * Stacks that are deeper than what the kernel side copies of them where it expects no stall: all of
 * such a one is read while the block lasts. What is unwound is then that, in place of the copy.
 */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

struct deep_copy {
	uint64_t off_ns; /* when the block began */
	uint64_t sp;
	size_t size;
	uint8_t bytes[];
};

static bool is_had(const struct loop *l, uint64_t off_ns)
{
	return l->deep && l->deep->off_ns == off_ns;
}

/* Programs in Python and JavaScript have theirs walked where they lie: see asleep.c. */
bool deep_is_wanted(const struct loop *l)
{
	const struct inquiry *q = &l->inquiry;

	return q->cut && !q->copy_job && !is_had(l, q->off_ns) && !target_language(l->target);
}

void deep_ask(struct collector *c, struct loop *l)
{
	struct inquiry *q = &l->inquiry;
	struct look_view seen;

	if (!c->look || look_at(c->look, l->tid, &seen) < 0 || seen.on_cpu ||
	    seen.tgid != (__u32)l->target->pid)
		return;
	struct job *j = job_new(c, l, JOB_COPY);
	if (!j)
		return;
	j->seen = seen;
	j->off_ns = q->off_ns;
	q->copy_job = job_begin(c, j,
				inspector_copy(c->inspector, j->cookie, l->target->pid, l->tid,
					       (const uint64_t *)seen.regs));
}

void deep_result(struct collector *c, const struct job *j, const struct inspector_result *r)
{
	struct loop *l = j->loop;

	if (!r->copy) {
		if (l->inquiry.copy_job == r->cookie)
			l->inquiry.copy_job = 0;
		return;
	}
	if (!asleep_stood(c, j))
		return;
	struct deep_copy *d = malloc(sizeof(*d) + r->copy_size);
	if (!d)
		return;
	d->off_ns = j->off_ns;
	d->sp = j->seen.regs[INSPECTOR_REG_SP];
	d->size = r->copy_size;
	memcpy(d->bytes, r->copy, r->copy_size);
	free(l->deep);
	l->deep = d;
}

bool deep_take(const struct loop *l, const struct event_block *e, const void **stack, size_t *size)
{
	const struct deep_copy *d = l->deep;

	if (!e->cut || !is_had(l, e->off_ns) || d->sp != e->regs[INSPECTOR_REG_SP] ||
	    d->size < *size)
		return false;
	*stack = d->bytes;
	*size = d->size;
	return true;
}

void deep_forget(struct loop *l)
{
	free(l->deep);
	l->deep = NULL;
}
