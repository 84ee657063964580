/* SPDX-License-Identifier: MIT */
/* Reads first, then looks for the names of callbacks, of which many handles have the same. */
#include "inspect/handlelist.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/answer.h"
#include "inspect/uvhandles.h"

#define CALLBACKS_MAX 256

/* The worker has one thread: what is large is static. */
struct handlelist {
	struct uvhandle read[INSPECTOR_HANDLES_MAX];
	struct {
		struct message_handle_list head;
		struct message_handle handles[INSPECTOR_HANDLES_MAX];
	} out;
	char text[HANDLES_TEXT];
	struct {
		uint64_t address;
		uint32_t offset;
	} names[CALLBACKS_MAX];
	size_t nnames;
};
_Static_assert(sizeof(((struct handlelist *)0)->out) + HANDLES_TEXT <= MESSAGE_MAX,
	       "a list is one message");

static bool read_space(void *arg, uint64_t address, void *buf, size_t size)
{
	return space_read(arg, address, buf, size);
}

static uint32_t add_text(struct handlelist *l, const char *text)
{
	size_t size = strlen(text) + 1;
	uint32_t at = l->out.head.text_size;

	if (size > sizeof(l->text) - at)
		return 0;
	memcpy(l->text + at, text, size);
	l->out.head.text_size += (uint32_t)size;
	return at;
}

/* Only into mapped code; what lies elsewhere is no function. */
static uint32_t name_of(struct handlelist *l, struct space *s, uint64_t address)
{
	const struct space_map *map = space_find(s, address);
	char text[256];

	if (!map || !map->path)
		return 0;
	for (size_t i = 0; i < l->nnames; i++)
		if (l->names[i].address == address)
			return l->names[i].offset;
	const char *slash = strrchr(map->path, '/'), *name = NULL;
	if (map->file >= 0) {
		struct space_file *file = &s->files[map->file];
		const struct symbol *y = space_need(s, file) ? symbol_get(s, file, address) : NULL;
		name = y ? y->calls[y->ncalls - 1].function : NULL;
	}
	snprintf(text, sizeof(text), "%s+0x%" PRIx64, slash ? slash + 1 : map->path,
		 address - map->start + map->offset);
	uint32_t offset = add_text(l, name && strlen(name) < MESSAGE_TEXT_MAX ? name : text);
	if (l->nnames < CALLBACKS_MAX) {
		l->names[l->nnames].address = address;
		l->names[l->nnames++].offset = offset;
	}
	return offset;
}

static void send_list(struct handlelist *l, struct space *s, size_t n, int collector)
{
	for (size_t i = 0; i < n; i++) {
		const struct uvhandle *h = &l->read[i];
		l->out.handles[i] = (struct message_handle){
			.timeout_ms = h->timeout_ms,
			.repeat_ms = h->repeat_ms,
			.fd = h->fd,
			.number = h->number,
			.kind = h->kind,
			.flags = (h->active ? MESSAGE_HANDLE_ACTIVE : 0) |
				 (h->referenced ? MESSAGE_HANDLE_REFERENCED : 0) |
				 (h->closing ? MESSAGE_HANDLE_CLOSING : 0),
			.callback = h->callback ? name_of(l, s, h->callback) : 0,
		};
	}
	if (space_wants(s)) /* the job comes again */
		return;
	l->out.head.n = (uint32_t)n;
	/* a collector that is gone shows at the next receive */
	message_send(collector, &l->out, sizeof(l->out.head) + n * sizeof(l->out.handles[0]),
		     l->text, l->out.head.text_size, NULL, 0, 0);
}

size_t handlelist_run(struct space *s, const struct message_job *job, const void *data,
		      int collector, unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer;
	static struct handlelist l;
	struct message_wait wait;
	size_t n, omitted;

	answer_init(&answer, job->cookie);
	if (!s || s->mem < 0 || job->size != sizeof(wait)) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	memcpy(&wait, data, sizeof(wait));
	if (space_is_gone(s)) {
		answer.head.flags |= MESSAGE_RESULT_GONE;
		return answer_write(&answer, buf);
	}
	answer.head.address = uvhandles_find(read_space, s, wait.sp, wait.fd);
	if (!answer.head.address)
		return answer_write(&answer, buf);
	if (!uvhandles_read(read_space, s, answer.head.address, l.read, INSPECTOR_HANDLES_MAX, &n,
			    &omitted)) {
		answer.head.why = MESSAGE_WHY_LAYOUT;
		return answer_write(&answer, buf);
	}
	l.nnames = 0;
	l.text[0] = '\0';
	l.out.head = (struct message_handle_list){.kind = MESSAGE_HANDLE_LIST,
						  .cookie = job->cookie,
						  .omitted = (uint32_t)omitted,
						  .text_size = 1};
	phase(MESSAGE_PHASE_INDEX, arg);
	send_list(&l, s, n, collector);
	phase(MESSAGE_PHASE_UNWIND, arg);
	return answer_write(&answer, buf);
}
