/* SPDX-License-Identifier: MIT */
/* Drives look.bpf.c: an iterator over threads, of which one is wanted. */
#include "look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "look.skel.h"

struct look {
	struct look_bpf *skel;
	struct bpf_link *all; /* Linux before 6.1: an iterator cannot be bound to one thread */
};

int look_new(struct look **ret_look, struct lsc_err *err)
{
	struct look *l = calloc(1, sizeof(*l));

	if (!l)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	l->skel = look_bpf__open_and_load();
	if (!l->skel) {
		int r = errno ? -errno : -EINVAL;
		look_free(l);
		return lsc_err_set(err, r, "cannot load the thread iterator: %s", strerror(-r));
	}
	*ret_look = l;
	return 0;
}

struct look *look_free(struct look *l)
{
	if (!l)
		return NULL;
	bpf_link__destroy(l->all);
	look_bpf__destroy(l->skel);
	free(l);
	return NULL;
}

/* Runs the program over what the link covers. */
static int iterate(const struct bpf_link *link)
{
	char byte;
	lsc_autoclose int fd = bpf_iter_create(bpf_link__fd(link));

	if (fd < 0)
		return -errno;
	return read(fd, &byte, 1) < 0 ? -errno : 0;
}

static int iterate_one(struct look *l, int tid)
{
	union bpf_iter_link_info info = {.task.tid = (__u32)tid};
	struct bpf_iter_attach_opts o;

	memset(&o, 0, sizeof(o)); /* libbpf looks at the padding, too */
	o.sz = sizeof(o);
	o.link_info = &info;
	o.link_info_len = sizeof(info);
	struct bpf_link *link = bpf_program__attach_iter(l->skel->progs.look, &o);
	if (!link)
		return errno ? -errno : -EINVAL;
	int r = iterate(link);
	bpf_link__destroy(link);
	return r;
}

static int iterate_all(struct look *l)
{
	if (!l->all)
		l->all = bpf_program__attach_iter(l->skel->progs.look, NULL);
	return l->all ? iterate(l->all) : errno ? -errno : -EINVAL;
}

int look_at(struct look *l, int tid, struct look_view *ret_view)
{
	int r = -EINVAL;

	memset(&l->skel->bss->view, 0, sizeof(l->skel->bss->view));
	l->skel->bss->wanted = (__u32)tid;
	if (!l->all)
		r = iterate_one(l, tid);
	if (r == -EINVAL || r == -E2BIG)
		r = iterate_all(l);
	if (r < 0)
		return r;
	if (l->skel->bss->view.tid != (__u32)tid)
		return -ESRCH;
	*ret_view = l->skel->bss->view;
	return 0;
}
