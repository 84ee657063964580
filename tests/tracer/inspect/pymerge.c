/* SPDX-License-Identifier: MIT */
#include "pymerge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct answer answer;
uint8_t packet[MESSAGE_MAX];
size_t packet_size;
struct message_result result;
struct inspector_frame frames[INSPECTOR_FRAMES_MAX];

uint64_t native_sp;

int runs_of(const struct version *v)
{
	return v->minor < 11 ? FRAMES : 2;
}

void merge_begin(void)
{
	answer_init(&answer, 1);
}

void add_native(const char *name, unsigned int flags)
{
	struct message_frame *f = answer_frame(&answer);

	f->function = answer_text(&answer, name);
	f->flags = flags;
	f->sp = native_sp;
}

void add_run(int n)
{
	bool own = image.v->minor >= 14 && n < 2;

	native_sp = own ? image.shim[n] - 16 : native_sp + 16;
	add_native("call_function", MESSAGE_FRAME_INLINED);
	add_native(own ? "" : n ? "_PyEval_EvalFrameDefault.cold" : "_PyEval_EvalFrameDefault", 0);
	native_sp = own ? image.shim[n] + 64 : native_sp + 16;
}

void merge_end(struct pyview *view, const struct inspector_chain *seen)
{
	merge_python(view, TID, seen, &answer);
	packet_size = answer_write(&answer, packet);
	assert_int_equal(message_result_read(packet, packet_size, &result, frames), 0);
}

const char *task_text(uint32_t offset)
{
	return message_text(packet, packet_size, &result, offset);
}
