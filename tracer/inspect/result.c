/* SPDX-License-Identifier: MIT */
#include "inspect/result.h"

static const char *const why_texts[MESSAGE_WHY_COUNT] = {
	[MESSAGE_WHY_NONE] = NULL,
	[MESSAGE_WHY_NO_CFI] = "no unwind information",
	[MESSAGE_WHY_LOOP] = "the stack loops",
	[MESSAGE_WHY_UNREADABLE] = "no readable ELF file",
	[MESSAGE_WHY_VERSION] = "not a version that is known",
	[MESSAGE_WHY_LAYOUT] = "its memory is not as its version has it",
	[MESSAGE_WHY_NO_STATE] = "the thread is not known to CPython",
	[MESSAGE_WHY_NO_FIT] = "they do not fit the native stack",
	[MESSAGE_WHY_CHANGED] = "their code is not there any more",
	[MESSAGE_WHY_ABSENT] = "they could not be read at that moment",
	[MESSAGE_WHY_BUILD] = "its debug file is of another build",
	[MESSAGE_WHY_OWNER] = "the perf map is not the target's own",
	[MESSAGE_WHY_NO_FILE] = "the perf map is not a plain file",
	[MESSAGE_WHY_TOO_LARGE] = "too large",
	[MESSAGE_WHY_INLINED] = "what is inlined there is not known",
	[MESSAGE_WHY_OFTEN] = "the perf map grows too often",
	[MESSAGE_WHY_FREE_THREADED] = "a free-threaded build of CPython",
	[MESSAGE_WHY_NO_SHARED] = "the file that dwz made of its debug information was not found",
	[MESSAGE_WHY_LATE] = "a file could not be read in time",
};

static struct inspector_task task_of(const struct message_result *m, const void *buf, size_t size)
{
	const struct message_task *t = &m->task;

	return (struct inspector_task){.address = t->address,
				       .name = message_text(buf, size, m, t->name),
				       .function = message_text(buf, size, m, t->function),
				       .file = message_text(buf, size, m, t->file),
				       .line = t->line};
}

struct inspector_result result_of(const struct message_result *m, const void *buf, size_t size,
				  const struct inspector_frame *frames)
{
	return (struct inspector_result){
		.cookie = m->cookie,
		.nframes = m->nframes,
		.frames = frames,
		.truncated = m->flags & MESSAGE_RESULT_TRUNCATED,
		.kept = m->flags & MESSAGE_RESULT_KEPT,
		.words = m->flags & MESSAGE_RESULT_WORDS ? m->words : NULL,
		.address = m->address,
		.size = m->size,
		.gil = m->gil,
		.place = m->place,
		.state = m->state,
		.task = task_of(m, buf, size),
		.language_why = why_texts[m->language],
		.tally = m->tally,
		.debug_why = why_texts[m->debug],
		.jit_why = why_texts[m->jit],
		.why = why_texts[m->why],
	};
}
