/* SPDX-License-Identifier: MIT */
#include "inspect/pychain.h"

#include <string.h>

#include "inspect/pytask.h"

/* Without room the text is unknown. */
static uint32_t put_text(struct pychain *c, const char *text)
{
	size_t len = strnlen(text, MESSAGE_TEXT_MAX - 1);
	uint32_t at = c->text_size;

	if (!len || at + len + 1 > sizeof(c->text))
		return 0;
	memcpy(c->text + at, text, len);
	c->text[at + len] = '\0';
	c->text_size += (uint32_t)len + 1;
	return at;
}

/* The text of an object, read once. */
static uint32_t text_of(struct pychain *c, struct pyview *v, uint64_t object)
{
	char text[MESSAGE_TEXT_MAX];

	for (size_t i = 0; i < c->nobjects; i++)
		if (c->objects[i].object == object)
			return c->objects[i].offset;
	if (!pyobject_text(v, object, text, sizeof(text)))
		return 0;
	uint32_t offset = put_text(c, text);
	if (c->nobjects < PYCHAIN_OBJECTS) {
		c->objects[c->nobjects].object = object;
		c->objects[c->nobjects++].offset = offset;
	}
	return offset;
}

static void name_frames(struct pychain *c, struct pyview *v, const struct pyframe *frames)
{
	size_t told = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct pyframe *f = &frames[i];
		struct pychain_frame *ret = &c->frames[i];
		*ret = (struct pychain_frame){
			.address = f->address, .hidden = f->hidden, .last = f->last};
		c->gone |= f->gone;
		if (f->gone || f->hidden || told++ >= INSPECTOR_FRAMES_MAX)
			continue;
		ret->function = text_of(c, v, f->name);
		ret->file = text_of(c, v, f->file);
		ret->line = ret->file ? pyframe_line(v, f) : 0;
	}
}

static void name_task(struct pychain *c, struct pyview *v, uint32_t tid,
		      const struct inspector_chain *seen, const struct pyframe *frames)
{
	const struct pyframe *coro;
	char name[MESSAGE_TEXT_MAX];
	uint64_t address;

	if (seen ? !pytask_take(v, &seen->task, frames, c->n, &address, &coro, name, sizeof(name))
		 : !pytask_find(v, tid, frames, c->n, &address, &coro, name, sizeof(name)))
		return;
	if (coro->gone) { /* it was a code object's of nobody knows what */
		c->task = (struct message_task){.address = address, .name = put_text(c, name)};
		return;
	}
	c->task = (struct message_task){.address = address,
					.name = put_text(c, name),
					.function = text_of(c, v, coro->name),
					.file = text_of(c, v, coro->file),
					.line = coro->first > 0 ? coro->first : 0};
}

void pychain_read(struct pyview *v, uint32_t tid, const struct inspector_chain *seen,
		  struct pychain *ret)
{
	static struct pyframe frames[PYFRAME_MAX]; /* the worker has one thread */

	ret->n = ret->nobjects = 0;
	ret->cut = ret->gone = false;
	ret->task = (struct message_task){0};
	ret->text[0] = '\0';
	ret->text_size = 1;
	ret->why = v ? v->why : MESSAGE_WHY_UNREADABLE;
	if (ret->why)
		return;
	ret->minor = v->layout.minor;
	if (seen) {
		ret->n = seen->count;
		ret->cut = seen->cut;
		ret->why = pyframe_take(v, seen->frames, seen->count, frames);
	} else {
		ret->why = pyframe_walk(v, tid, frames, &ret->n, &ret->cut);
	}
	if (ret->why) {
		ret->n = 0;
		ret->cut = false;
		return;
	}
	/* each thread's chain begins with a frame that no run is for */
	if (ret->minor >= 15 && !ret->cut && ret->n && frames[ret->n - 1].hidden &&
	    frames[ret->n - 1].last)
		ret->n--;
	name_task(ret, v, tid, seen, frames); /* first: there is room for its name */
	name_frames(ret, v, frames);
}
