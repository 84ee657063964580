/* SPDX-License-Identifier: MIT */
/* The worker has one thread. Places that are not used yet take no memory. */
#include "inspect/kept.h"

static struct kept places[KEPT_MAX];
static uint64_t ages;

struct kept *kept_find(uint64_t cookie)
{
	for (int i = 0; i < KEPT_MAX; i++)
		if (places[i].age && places[i].cookie == cookie)
			return &places[i];
	return NULL;
}

struct kept *kept_new(uint64_t cookie)
{
	struct kept *oldest = &places[0];

	for (int i = 0; i < KEPT_MAX; i++)
		if (places[i].age < oldest->age)
			oldest = &places[i];
	oldest->cookie = cookie;
	oldest->age = ++ages;
	oldest->size = 0;
	oldest->js.n = 0;
	return oldest;
}

void kept_drop(struct kept *k)
{
	k->cookie = k->age = 0;
}
