/* SPDX-License-Identifier: MIT */
/* A stack as it lies in the target's memory: nothing of it is looked at. */
#include "inspect/stackcopy.h"

#include <unistd.h>

#include "inspect/answer.h"

size_t stackcopy_run(struct space *s, const struct message_job *job, int collector, void *buf)
{
	static struct answer answer;
	static uint8_t bytes[INSPECTOR_STACK_MAX]; /* the worker has one thread */
	struct message_copy m = {.kind = MESSAGE_STACK, .cookie = job->cookie};
	ssize_t n;

	answer_init(&answer, job->cookie);
	answer.head.why = MESSAGE_WHY_UNREADABLE;
	if (s && space_is_gone(s)) {
		answer.head.flags |= MESSAGE_RESULT_GONE;
	} else if (s && s->mem >= 0 &&
		   (n = pread(s->mem, bytes, sizeof(bytes),
			      (off_t)(job->regs[INSPECTOR_REG_SP] - INSPECTOR_RED_ZONE))) > 0) {
		answer.head.why = MESSAGE_WHY_NONE;
		m.size = (uint32_t)n;
		/* a collector that is gone shows at the next receive */
		message_send(collector, &m, sizeof(m), bytes, m.size, NULL, 0, 0);
	}
	return answer_write(&answer, buf);
}
