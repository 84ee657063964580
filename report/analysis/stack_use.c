/* SPDX-License-Identifier: MIT */
/* How full stacks became, by spawn site: what the loops of a process tell of one place is one row.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/internal.h"

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int same_place(const struct stack_use *x, const struct stack_use *y)
{
	int r = (x->target > y->target) - (x->target < y->target);

	if (!r)
		r = compare_text(x->site.file, y->site.file);
	if (!r)
		r = compare_text(x->site.function, y->site.function);
	return r ? r : (x->site.line > y->site.line) - (x->site.line < y->site.line);
}

static int by_place(const void *a, const void *b)
{
	const struct stack_use *x = a, *y = b;
	int r = same_place(x, y);

	return r ? r : (x->used < y->used) - (x->used > y->used);
}

/* Of unknown stacks there is no share. */
static double share(const struct stack_use *u)
{
	return u->size ? (double)u->used / (double)u->size : 0;
}

static int fullest_first(const void *a, const void *b)
{
	const struct stack_use *x = a, *y = b;
	double left = share(x), right = share(y);
	int r = (left < right) - (left > right);

	if (!r)
		r = (x->used < y->used) - (x->used > y->used);
	return r ? r : same_place(x, y);
}

void stack_uses_merge(struct analysis *a)
{
	struct stack_use *u = a->stack_uses;
	size_t n = 0;

	if (!a->nstack_uses)
		return;
	qsort(u, a->nstack_uses, sizeof(*u), by_place);
	for (size_t i = 0; i < a->nstack_uses; i++)
		if (!n || same_place(&u[n - 1], &u[i]))
			u[n++] = u[i];
	qsort(u, n, sizeof(*u), fullest_first);
	a->nstack_uses = n;
}
