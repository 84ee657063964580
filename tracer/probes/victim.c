/* SPDX-License-Identifier: MIT */
/* Drives victim.bpf.h: the walk over a process's sockets, the stamps, the end of both. */
#include "victim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "clock.h"
#include "event.h"
#include "hook.h"
#include "sched.skel.h"

void probe_victims_prepare(struct probe_victims *v, struct sched_bpf *skel, struct hooks *hooks)
{
	v->skel = skel;
	v->hooks = hooks;
	v->supported = libbpf_find_vmlinux_btf_id("sk_data_ready", BPF_TRACE_RAW_TP) > 0;
	bpf_program__set_autoload(skel->progs.on_arrival, v->supported);
	bpf_program__set_autoload(skel->progs.on_socket, v->supported);
	bpf_program__set_autoattach(skel->progs.on_arrival, false);
	bpf_program__set_autoattach(skel->progs.on_socket, false);
}

/* Runs on_socket for each open file of the process. */
static int walk(struct probe_victims *v, int pid)
{
	union bpf_iter_link_info info = {.task = {.pid = (__u32)pid}};
	struct bpf_iter_attach_opts opts;
	char buf[64];
	ssize_t n;

	memset(&opts, 0, sizeof(opts)); /* the padding too: libbpf looks */
	opts.sz = sizeof(opts);
	opts.link_info = &info;
	opts.link_info_len = sizeof(info);
	struct bpf_link *link = bpf_program__attach_iter(v->skel->progs.on_socket, &opts);
	if (!link)
		return errno ? -errno : -EINVAL;
	lsc_autoclose int fd = bpf_iter_create(bpf_link__fd(link));
	int r = fd < 0 ? fd : 0;
	while (!r) {
		n = read(fd, buf, sizeof(buf)); /* nothing is ever written */
		if (n == 0)
			break;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			r = -errno;
	}
	bpf_link__destroy(link);
	return r;
}

int probe_victims_watch(struct probe_victims *v, int pid, uint64_t since_ns, bool look)
{
	if (!v->supported)
		return -ENOTSUP;
	if (!v->arrivals)
		v->arrivals = hook_on(v->hooks, v->skel->progs.on_arrival);
	if (!v->arrivals)
		return errno ? -errno : -EINVAL;
	__atomic_store_n(&v->skel->bss->victims_since, since_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&v->skel->bss->victims_stamped, 1, __ATOMIC_RELEASE);
	return look ? walk(v, pid) : 0;
}

void probe_victims_pause(struct probe_victims *v)
{
	__atomic_store_n(&v->skel->bss->victims_stamped, 0, __ATOMIC_RELAXED);
}

bool probe_victims_pending(const struct probe_victims *v)
{
	return __atomic_load_n(&v->skel->bss->victims_pending, __ATOMIC_RELAXED) > 0;
}

/* Deletes all of a map's entries; how many of them were sockets with something unread. */
static uint64_t forget(struct bpf_map *map, bool sockets)
{
	struct victim_socket v;
	uint64_t unread = 0;
	__u64 key;

	while (bpf_map__get_next_key(map, NULL, &key, sizeof(key)) == 0) {
		if (sockets && bpf_map__lookup_elem(map, &key, sizeof(key), &v, sizeof(v), 0) == 0)
			unread += v.ready_ns != 0;
		if (bpf_map__delete_elem(map, &key, sizeof(key), 0) < 0)
			break;
	}
	return unread;
}

uint64_t probe_victims_end(struct probe_victims *v)
{
	if (!v->arrivals)
		return 0;
	probe_victims_pause(v);
	v->arrivals = hook_off(v->hooks, v->arrivals);
	uint64_t unread = forget(v->skel->maps.sockets, true);
	forget(v->skel->maps.listeners, false);
	__atomic_store_n(&v->skel->bss->victims_pending, 0, __ATOMIC_RELAXED);
	return unread;
}
