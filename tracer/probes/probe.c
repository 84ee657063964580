/* SPDX-License-Identifier: MIT */
/*
 * Loads and drives sched.bpf.c. Prints nothing: libbpf's own log is kept for the error line.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/cause.h"
#include "base/clock.h"
#include "impl.h"
#include "sched.skel.h"
#include "thread.h"

#define DESCRIPTORS_MANY  1024 /* they suffice */
#define DESCRIPTORS_SPARE 8    /* what libbpf opens for a moment */

#define SELDOM_NS	100000000ull /* period of the sampler on each CPU, filtered in the kernel */
#define OFTEN_NS	4000000ull   /* while a loop is held */
#define EVENTS_PER_TURN 4096	     /* the ring may be filled as fast as it is emptied */

static char last_log[160]; /* libbpf's newest warning; one job a process */

static int keep_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level != LIBBPF_WARN)
		return 0;
	char line[sizeof(last_log)];
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "libbpf: ", 8) && !strstr(line, "-- ") &&
	    !strstr(line, "failed to load"))
		snprintf(last_log, sizeof(last_log), "%s", line + 8);
	return 0;
}

/* Whether the kernel is older than the probes need: sched_switch tells the state since 5.18. */
static bool kernel_is_old(struct utsname *ret_name)
{
	unsigned int major, minor;

	return !uname(ret_name) && sscanf(ret_name->release, "%u.%u", &major, &minor) == 2 &&
	       (major < 5 || (major == 5 && minor < 18));
}

/* Whether what cannot be loaded lacks descriptors: libbpf takes that for a kernel without what it
 * tried. Gives how many may be open, and how many it takes. */
static bool lacks_descriptors(const struct bpf_object *object, unsigned int *ret_max,
			      unsigned int *ret_needed)
{
	struct bpf_program *program = NULL;
	struct bpf_map *map = NULL;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > DESCRIPTORS_MANY)
		return false;
	*ret_max = (unsigned int)limit.rlim_cur;
	*ret_needed = DESCRIPTORS_SPARE;
	for (unsigned int fd = 0; fd < *ret_max; fd++)
		*ret_needed += fcntl((int)fd, F_GETFD) >= 0;
	while ((program = bpf_object__next_program(object, program)))
		*ret_needed += bpf_program__autoload(program);
	while ((map = bpf_object__next_map(object, map)))
		++*ret_needed;
	return *ret_needed > *ret_max;
}

static int load_error(const struct bpf_object *object, int r, struct lsc_err *err)
{
	struct utsname name;
	unsigned int max, needed;

	if (object && lacks_descriptors(object, &max, &needed))
		return lsc_err_set(err, -EMFILE,
				   "cannot load kernel probes: %u open files are allowed (ulimit "
				   "-n), and it takes %u",
				   max, needed);
	/* How the verifier refuses. Only then: a kernel may have more than its version says. */
	if ((r == -EACCES || r == -EINVAL) && kernel_is_old(&name))
		return lsc_err_set(err, -ENOSYS,
				   "cannot load kernel probes: they need Linux 5.18 or newer, this "
				   "is %s",
				   name.release);
	if (r == -EPERM || r == -EACCES)
		return lsc_err_set(err, -EPERM,
				   "cannot load kernel probes: permission denied; run as root or "
				   "with CAP_BPF and "
				   "CAP_PERFMON");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return lsc_err_set(err, -ENOENT,
				   "cannot load kernel probes: no /sys/kernel/btf/vmlinux; a "
				   "kernel built with "
				   "CONFIG_DEBUG_INFO_BTF would give it");
	return lsc_err_set(err, r, "cannot load kernel probes: %s%s%s", strerror(-r),
			   last_log[0] ? ": " : "", last_log);
}

static int on_ring(void *arg, void *data, size_t size)
{
	struct probe *p = arg;
	const struct event *e = data;

	if (p->fn && size >= sizeof(*e))
		p->fn(e, size, p->arg);
	return ++p->turn < EVENTS_PER_TURN ? 0 : -EAGAIN;
}

static int attach_samplers(struct probe *p, struct lsc_err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = OFTEN_NS,
	};

	for (int cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++) {
		int fd =
			(int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
		if (fd < 0 && (errno == ENODEV || errno == ENXIO))
			continue; /* offline */
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			return lsc_err_set(err, -errno,
					   "cannot sample CPU %d: %s; a higher limit (ulimit -n) "
					   "would give it",
					   cpu, strerror(errno));
		if (fd < 0)
			return lsc_err_set(
				err, -errno,
				"cannot sample CPU %d: %s; CAP_PERFMON and "
				"kernel.perf_event_paranoid <= 2, or CAP_SYS_ADMIN, would give it",
				cpu, strerror(errno));
		struct bpf_link *link =
			bpf_program__attach_perf_event(p->skel->progs.on_sample, fd);
		if (!link) {
			int r = -errno;
			close(fd);
			return lsc_err_set(err, r, "cannot attach the sampler to CPU %d: %s", cpu,
					   strerror(-r));
		}
		p->sampler_fds[p->nsamplers] = fd;
		p->samplers[p->nsamplers++] = link;
	}
	p->often = true;
	return 0;
}

void probe_sample(struct probe *p, bool often)
{
	__u64 period = often ? OFTEN_NS : SELDOM_NS;

	if (p->often == often)
		return;
	p->often = often;
	for (int i = 0; i < p->nsamplers; i++) /* a CPU may have gone offline meanwhile */
		(void)!ioctl(p->sampler_fds[i], PERF_EVENT_IOC_PERIOD, &period);
}

/* Whether functions of the kernel can be hooked: some kernels are built without what it takes, and
 * say so only when it is tried. */
static bool fentry_works(void)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int id = libbpf_find_vmlinux_btf_id("__x64_sys_epoll_wait", BPF_TRACE_FEXIT);
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = (__u32)id);
	if (id <= 0)
		return false;
	lsc_autoclose int prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "try_fexit", "Dual MIT/GPL",
					       nothing, LSC_ARRAY_LEN(nothing), &o);
	if (prog < 0)
		return false;
	lsc_autoclose int link = bpf_raw_tracepoint_open(NULL, prog);
	return link >= 0;
}

static void choose_fentry(struct probe *p, bool wanted)
{
	struct bpf_program *waits[] = {
		p->skel->progs.on_epoll_wait,	p->skel->progs.on_epoll_pwait,
		p->skel->progs.on_epoll_pwait2, p->skel->progs.on_poll,
		p->skel->progs.on_ppoll,	p->skel->progs.on_select,
		p->skel->progs.on_pselect6,	p->skel->progs.on_io_uring_enter,
	};

	p->exact = wanted && fentry_works();
	p->skel->rodata->exact = p->exact;
	for (size_t i = 0; p->exact && i < LSC_ARRAY_LEN(waits); i++)
		bpf_program__set_autoload(waits[i], true);
}

/* What all CPUs may write until user space has looked. Its pages are this process's, too. */
static __u32 ring_bytes(void)
{
	int cpus = get_nprocs();
	__u32 bytes = RING_BYTES_MIN;

	while (bytes < RING_BYTES_MAX && cpus > 0 && bytes / RING_BYTES_A_CPU < (__u32)cpus)
		bytes *= 2;
	return bytes;
}

static int open_and_load(struct probe *p, const struct probe_options *o, bool fentry,
			 struct lsc_err *err)
{
	last_log[0] = '\0';
	libbpf_set_print(keep_log);
	p->skel = sched_bpf__open();
	if (!p->skel)
		return load_error(NULL, errno ? -errno : -ENOMEM, err);
	p->skel->rodata->only_tgid = o->npids == 1 && !o->grows ? (__u32)o->pids[0] : 0;
	p->skel->rodata->stall_ns = o->stall_ns;
	p->skel->data->block_ns = o->block_ns;
	p->skel->rodata->follow = o->follow;
	p->skel->rodata->ring_wake_bytes = ring_bytes() / 4;
	int r = bpf_map__set_max_entries(p->skel->maps.events, ring_bytes());
	if (r < 0)
		return load_error(p->skel->obj, r, err);
	choose_fentry(p, fentry);
	bpf_program__set_autoattach(p->skel->progs.on_sys_exit, false);
	bpf_program__set_autoattach(p->skel->progs.on_waking, false);
	bpf_program__set_autoattach(p->skel->progs.on_sample, false);
	hooks_init(&p->hooks);
	probe_victims_prepare(&p->victims, p->skel, &p->hooks);
	r = sched_bpf__load(p->skel);
	if (r < 0)
		return load_error(p->skel->obj, r, err);
	void *slots = mmap(NULL, SLOTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			   bpf_map__fd(p->skel->maps.slots), 0);
	if (slots == MAP_FAILED)
		return lsc_err_set(err, -errno, "cannot map the kernel side's table of threads: %s",
				   strerror(errno));
	p->slots = slots;
	return 0;
}

static int set_up(struct probe *p, const struct probe_options *o, bool fentry, struct lsc_err *err)
{
	int r = open_and_load(p, o, fentry, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < o->npids; i++) {
		r = probe_add_target(p, o->pids[i]);
		if (r < 0)
			return lsc_err_set(err, r, "cannot watch process %d: %s", o->pids[i],
					   strerror(-r));
	}
	p->ring = ring_buffer__new(bpf_map__fd(p->skel->maps.events), on_ring, p, NULL);
	if (!p->ring)
		return lsc_err_set(err, errno ? -errno : -ENOMEM,
				   "cannot map the kernel's ring buffer: %s", strerror(errno));
	r = sched_bpf__attach(p->skel);
	if (r < 0)
		return lsc_err_set(err, r, "cannot attach kernel probes: %s%s%s", strerror(-r),
				   last_log[0] ? ": " : "", last_log);
	return attach_samplers(p, err);
}

int probe_new(const struct probe_options *o, probe_event_fn *fn, void *arg,
	      struct probe **ret_probe, struct lsc_err *err)
{
	bool fentry = !o->light, again;
	int r;

	do { /* the kernel may refuse a hook that it let be tried: that is not needed */
		struct probe *p = calloc(1, sizeof(*p));
		if (!p)
			return lsc_err_set(err, -ENOMEM,
					   "cannot load kernel probes: out of memory");
		p->fn = fn;
		p->arg = arg;
		r = set_up(p, o, fentry, err);
		again = r < 0 && p->exact;
		fentry = false;
		if (r == 0)
			*ret_probe = p;
		else
			probe_free(p);
	} while (again);
	return r;
}

void probe_detach(struct probe *p)
{
	probe_disarm(p);
	probe_victims_end(&p->victims);
	for (int i = 0; i < p->nsamplers; i++)
		bpf_link__destroy(p->samplers[i]);
	p->nsamplers = 0;
	sched_bpf__detach(p->skel);
}

struct probe *probe_free(struct probe *p)
{
	if (!p)
		return NULL;
	if (p->skel)
		probe_detach(p);
	ring_buffer__free(p->ring);
	if (p->slots)
		munmap(p->slots, SLOTS_BYTES);
	sched_bpf__destroy(p->skel);
	free(p);
	return NULL;
}

int probe_fd(const struct probe *p)
{
	return ring_buffer__epoll_fd(p->ring);
}

int probe_consume(struct probe *p)
{
	p->turn = 0;
	int r = ring_buffer__consume(p->ring);

	return r == -EAGAIN ? 1 : r < 0 ? r : 0;
}

int probe_add_target(struct probe *p, int pid)
{
	__u32 key = (__u32)pid, one = 1;

	return bpf_map__update_elem(p->skel->maps.targets, &key, sizeof(key), &one, sizeof(one),
				    BPF_ANY);
}

void probe_drop_target(struct probe *p, int pid)
{
	__u32 key = (__u32)pid;

	bpf_map__delete_elem(p->skel->maps.targets, &key, sizeof(key), 0);
	probe_drop_gil(p, pid);
}

int probe_arm_waking(struct probe *p)
{
	if (p->waking)
		return 0;
	p->waking = hook_on(&p->hooks, p->skel->progs.on_waking);
	if (!p->waking)
		return errno ? -errno : -EINVAL;
	__atomic_store_n(&p->skel->bss->waking_at, lsc_now_ns(), __ATOMIC_RELEASE);
	return 0;
}

void probe_disarm_waking(struct probe *p)
{
	__atomic_store_n(&p->skel->bss->waking_at, 0, __ATOMIC_RELEASE);
	p->waking = hook_off(&p->hooks, p->waking);
}

int probe_arm(struct probe *p)
{
	if (p->precise)
		return 0;
	p->precise = hook_on(&p->hooks, p->skel->progs.on_sys_exit);
	if (!p->precise)
		return errno ? -errno : -EINVAL;
	__atomic_store_n(&p->skel->bss->armed_at, lsc_now_ns(), __ATOMIC_RELEASE);
	return 0;
}

void probe_disarm(struct probe *p)
{
	if (!p->precise)
		return;
	__atomic_store_n(&p->skel->bss->armed_at, 0, __ATOMIC_RELEASE);
	p->precise = hook_off(&p->hooks, p->precise);
}

bool probe_is_exact(const struct probe *p)
{
	return p->exact;
}

bool probe_is_armed(const struct probe *p)
{
	return p->precise != NULL;
}

struct probe_victims *probe_victims(struct probe *p)
{
	return &p->victims;
}

uint64_t probe_counter(const struct probe *p, enum probe_counter c)
{
	return __atomic_load_n(&p->skel->bss->counters[c], __ATOMIC_RELAXED);
}

void probe_sleep(struct probe *p)
{
	__atomic_store_n(&p->skel->bss->asleep, 1, __ATOMIC_SEQ_CST);
}

void probe_wake(struct probe *p)
{
	__atomic_store_n(&p->skel->bss->asleep, 0, __ATOMIC_RELAXED);
}

void probe_set_block_ns(struct probe *p, uint64_t ns)
{
	__atomic_store_n(&p->skel->data->block_ns, ns, __ATOMIC_RELAXED);
}

void probe_thin_copies(struct probe *p, uint32_t mask)
{
	__atomic_store_n(&p->skel->bss->copy_mask, mask, __ATOMIC_RELAXED);
}

void probe_thin_samples(struct probe *p, uint32_t mask)
{
	__atomic_store_n(&p->skel->bss->sample_mask, mask, __ATOMIC_RELAXED);
}

int probe_account(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

int probe_run_times(const struct probe *p, struct probe_run_time ret_times[PROGRAM_COUNT])
{
	const struct bpf_program *programs[PROGRAM_COUNT] = {
		[PROGRAM_SWITCH] = p->skel->progs.on_switch,
		[PROGRAM_WAKING] = p->skel->progs.on_waking,
		[PROGRAM_SAMPLE] = p->skel->progs.on_sample,
		[PROGRAM_SYS_EXIT] = p->skel->progs.on_sys_exit,
		[PROGRAM_FORK] = p->skel->progs.on_fork,
		[PROGRAM_EXEC] = p->skel->progs.on_exec,
		[PROGRAM_EXIT] = p->skel->progs.on_exit,
	};
	struct probe_run_time times[PROGRAM_COUNT];

	for (int i = 0; i < PROGRAM_COUNT; i++) {
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		if (bpf_obj_get_info_by_fd(bpf_program__fd(programs[i]), &info, &size))
			return -errno;
		times[i] = (struct probe_run_time){info.run_time_ns, info.run_cnt,
						   info.recursion_misses};
	}
	memcpy(ret_times, times, sizeof(times));
	return 0;
}

int probe_check(struct lsc_err *err)
{
	int self = getpid();
	struct probe_options o = {
		.pids = &self, .npids = 1, .stall_ns = 10000000, .block_ns = 1000000};
	struct probe *p = NULL;
	int r = probe_new(&o, NULL, NULL, &p, err);

	probe_free(p);
	return r;
}
