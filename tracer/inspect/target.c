/* SPDX-License-Identifier: MIT */
/* A small table, searched from end to end. */
#include "inspect/target.h"

#define STRIKES_MAX	 2
#define FILE_STRIKES_MAX 8

struct target *target_find(struct target_set *s, int pid)
{
	for (int i = 0; i < MESSAGE_SLOTS; i++)
		if (s->targets[i].pid == pid)
			return &s->targets[i];
	return NULL;
}

/* Whether a is given up before b: free places first, then those without a record, then by age. */
static bool cheaper(const struct target *a, const struct target *b, uint64_t now_ns)
{
	if (!a->pid || !b->pid)
		return b->pid;
	bool qa = target_quarantined(a, now_ns), qb = target_quarantined(b, now_ns);
	return qa != qb ? qb : a->used_ns < b->used_ns;
}

struct target *target_get(struct target_set *s, int pid, uint64_t now_ns)
{
	struct target *t = target_find(s, pid);

	if (!t) {
		t = &s->targets[0];
		for (int i = 1; i < MESSAGE_SLOTS; i++)
			if (cheaper(&s->targets[i], t, now_ns))
				t = &s->targets[i];
		*t = (struct target){.pid = pid};
	}
	t->used_ns = now_ns;
	return t;
}

uint32_t target_slot(const struct target_set *s, const struct target *t)
{
	return (uint32_t)(t - s->targets);
}

bool target_look_again(struct target *t, uint64_t now_ns)
{
	if (now_ns - t->looks_ns >= LSC_NS_PER_S) {
		t->looks_ns = now_ns;
		t->looks = 0;
		t->in_vain = false;
	}
	if (t->looks >= TARGET_LOOKS_MAX || now_ns < t->rest_ns)
		return false;
	t->looks++;
	return true;
}

void target_look_in_vain(struct target *t, uint64_t now_ns)
{
	t->in_vain = true;
	t->rest_ns = now_ns + TARGET_REST_NS;
}

void target_end_looks(struct target *t)
{
	t->looks = TARGET_LOOKS_MAX;
}

void target_strike(struct target *t, uint64_t now_ns)
{
	strikes_add(&t->strikes, STRIKES_MAX, now_ns);
}

bool target_quarantined(const struct target *t, uint64_t now_ns)
{
	return strikes_hold(&t->strikes, now_ns);
}

void target_strike_files(struct target *t, uint64_t now_ns)
{
	strikes_add(&t->files, FILE_STRIKES_MAX, now_ns);
}

void target_lose_tables(struct target_set *s)
{
	for (int i = 0; i < MESSAGE_SLOTS; i++)
		s->targets[i].ready = s->targets[i].has_table = false;
}
