// SPDX-License-Identifier: MIT
/* One thread as the kernel has it, when user space asks (Linux 5.8; fast from 6.1 on). */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "look_view.h"
#include "regs.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter__task {
	struct task_struct *task;
};
#pragma clang attribute pop

__u32 wanted; /* before 6.1 the kernel shows all threads */
struct look_view view;

SEC("iter/task")
int look(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;

	if (!p || (__u32)p->pid != wanted)
		return 0;
	view.tgid = p->tgid;
	view.on_cpu = p->on_cpu;
	view.switches = p->nvcsw + p->nivcsw;
	__builtin_memcpy(view.comm, p->comm, sizeof(view.comm));
	regs_copy(view.regs, (struct pt_regs *)bpf_task_pt_regs(p));
	view.tid = p->pid; /* last: it was found */
	return 0;
}
