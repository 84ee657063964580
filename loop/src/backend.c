/* SPDX-License-Identifier: MIT */
/* Which backend a loop gets. */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

static const struct backend_ops *const known[] = {
	&backend_epoll,
#ifdef LSC_HAVE_URING
	&backend_uring,
#endif
};

static const struct backend_ops *find(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i]->name, name) == 0)
			return known[i];
	return NULL;
}

static void say_once(const char *name, const char *why)
{
	static int said;

	if (__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED) == 0)
		fprintf(stderr, "loopscope: LSC_BACKEND=%s: %s; using epoll\n", name, why);
}

int backend_open(struct lsc_loop *loop)
{
	const char *name = secure_getenv("LSC_BACKEND");
	const struct backend_ops *wanted = &backend_epoll;

	if (name && *name)
		wanted = find(name);
	if (!wanted)
		say_once(name,
			 strcmp(name, "io_uring") == 0 ? "built without it" : "no such backend");
	if (wanted && wanted != &backend_epoll) {
		loop->backend = wanted;
		int r = wanted->open(loop);
		if (r == 0 || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
			return r;
		say_once(name, strerror(-r));
	}
	loop->backend = &backend_epoll;
	return backend_epoll.open(loop);
}
