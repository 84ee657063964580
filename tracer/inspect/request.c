/* SPDX-License-Identifier: MIT */
/* Each kind of job as the message that asks the worker for it. */
#include "inspect/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int inspector_unwind(struct inspector *ins, uint64_t cookie, int pid, int tid,
		     const uint64_t regs[INSPECTOR_REGS], const void *stack, size_t size)
{
	struct message_job head = {.kind = MESSAGE_JOB, .cookie = cookie, .tid = tid};

	if (size > INSPECTOR_STACK_MAX)
		return -EINVAL;
	head.size = (uint32_t)size;
	memcpy(head.regs, regs, sizeof(head.regs));
	return request_add(ins, pid, &head, stack, NULL);
}

int inspector_unwind_python(struct inspector *ins, uint64_t cookie, int pid, int tid,
			    const uint64_t regs[INSPECTOR_REGS], const void *stack, size_t size,
			    const struct inspector_chain *chain)
{
	struct message_job head = {.kind = MESSAGE_JOB,
				   .cookie = cookie,
				   .tid = tid,
				   .python = chain->tid,
				   .chain = 1};

	if (size > INSPECTOR_STACK_MAX || chain->count > INSPECTOR_PYFRAMES_MAX)
		return -EINVAL;
	head.size = (uint32_t)size;
	memcpy(head.regs, regs, sizeof(head.regs));
	return request_add(ins, pid, &head, stack, chain);
}

int inspector_unwind_asleep(struct inspector *ins, uint64_t cookie, int pid, int tid,
			    const struct inspector_sleeper *sleeper)
{
	struct message_job head = {.kind = MESSAGE_JOB,
				   .cookie = cookie,
				   .tid = tid,
				   .words = sleeper->words,
				   .asleep = 1,
				   .python = (uint32_t)sleeper->python};

	memcpy(head.regs, sleeper->regs, sizeof(head.regs));
	return request_add(ins, pid, &head, NULL, NULL);
}

int inspector_copy(struct inspector *ins, uint64_t cookie, int pid, int tid,
		   const uint64_t regs[INSPECTOR_REGS])
{
	struct message_job head = {.kind = MESSAGE_COPY, .cookie = cookie, .tid = tid};

	memcpy(head.regs, regs, sizeof(head.regs));
	return request_add(ins, pid, &head, NULL, NULL);
}

int inspector_find(struct inspector *ins, uint64_t cookie, int pid, int tid, const char *file,
		   const char *symbol)
{
	char names[128];
	int n = snprintf(names, sizeof(names), "%s%c%s", file, '\0', symbol);
	struct message_job m = {
		.kind = MESSAGE_FIND, .cookie = cookie, .tid = tid, .size = (uint32_t)n + 1};

	return n < 0 || n >= (int)sizeof(names) ? -EINVAL : request_add(ins, pid, &m, names, NULL);
}

int inspector_cpython(struct inspector *ins, uint64_t cookie, int pid, int tid, int ns_tid)
{
	struct message_job m = {
		.kind = MESSAGE_CPYTHON, .cookie = cookie, .tid = tid, .python = (uint32_t)ns_tid};

	return request_add(ins, pid, &m, NULL, NULL);
}

int inspector_tasks(struct inspector *ins, uint64_t cookie, int pid, int tid)
{
	struct message_job m = {.kind = MESSAGE_TASKS, .cookie = cookie, .tid = tid};

	return request_add(ins, pid, &m, NULL, NULL);
}

int inspector_handles(struct inspector *ins, uint64_t cookie, int pid, int tid, uint64_t sp,
		      int epoll_fd)
{
	struct message_wait wait = {.sp = sp, .fd = epoll_fd};
	struct message_job m = {
		.kind = MESSAGE_HANDLES, .cookie = cookie, .tid = tid, .size = sizeof(wait)};

	return request_add(ins, pid, &m, &wait, NULL);
}

int inspector_version(struct inspector *ins, uint64_t cookie, int pid, int tid, const char *runtime)
{
	struct message_job m = {.kind = MESSAGE_VERSION,
				.cookie = cookie,
				.tid = tid,
				.size = (uint32_t)strlen(runtime) + 1};

	return request_add(ins, pid, &m, runtime, NULL);
}
