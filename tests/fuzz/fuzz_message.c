/* SPDX-License-Identifier: MIT */
/* A worker's answer, as the collector checks it. */
#include "fuzz.h"

#include "inspect/message.h"

static size_t length(const char *text, const uint8_t *data, size_t size)
{
	if (!text)
		return 0;
	FUZZ_MUST((const uint8_t *)text >= data && (const uint8_t *)text < data + size);
	return strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct inspector_frame frames[INSPECTOR_FRAMES_MAX];
	struct message_result r;
	size_t total = 0;

	if (message_result_read(data, size, &r, frames) < 0)
		return 0;
	FUZZ_MUST(r.nframes <= INSPECTOR_FRAMES_MAX);
	for (size_t i = 0; i < r.nframes; i++) {
		const struct inspector_frame *f = &frames[i];
		total += length(f->function, data, size) + length(f->file, data, size) +
			 length(f->module, data, size) + length(f->build_id, data, size) +
			 length(f->near, data, size);
		FUZZ_MUST(f->line >= 0);
	}
	total += length(message_text(data, size, &r, r.task.name), data, size) +
		 length(message_text(data, size, &r, r.task.function), data, size) +
		 length(message_text(data, size, &r, r.task.file), data, size);
	FUZZ_MUST(total < SIZE_MAX);
	return 0;
}
