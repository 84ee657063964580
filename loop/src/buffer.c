/* SPDX-License-Identifier: MIT */
/* The buffers of streams. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

#define BUFFER_MIN 4096

int buffer_reserve(struct buffer *b, size_t size)
{
	size_t used = buffer_used(b);

	if (size <= b->room - b->end)
		return 0;
	if (size > SIZE_MAX / 2 - used)
		return -ENOMEM;
	/* To the front rather than into more memory, as long as that is not most of the work. */
	if (used + size <= b->room && b->begin >= used) {
		memcpy(b->data, b->data + b->begin, used);
	} else {
		size_t room = b->room < BUFFER_MIN ? BUFFER_MIN : b->room;

		while (room < used + size)
			room *= 2;
		char *data = malloc(room);
		if (!data)
			return -ENOMEM;
		if (used > 0)
			memcpy(data, b->data + b->begin, used);
		free(b->data);
		b->data = data;
		b->room = room;
	}
	b->begin = 0;
	b->end = used;
	return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t size)
{
	int r = buffer_reserve(b, size);

	if (r < 0)
		return r;
	memcpy(b->data + b->end, data, size);
	b->end += size;
	return 0;
}

void buffer_consume(struct buffer *b, size_t size)
{
	b->begin += size;
	if (b->begin == b->end)
		b->begin = b->end = 0;
}

void buffer_done(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){0};
}
