/* SPDX-License-Identifier: MIT */
/*
 * A chat: chat_server [PORT]. Each client says its name in its first line; each further line goes
 * to all others. Nobody waits for a slow reader: who has a megabyte unread is thrown out. Ends with
 * the first SIGTERM or SIGINT.
 */
#include <stdio.h>
#include <string.h>

#include "serving.h"

#define NAME_MAX_LENGTH 32
#define UNREAD_MAX	(1u << 20)
#define LINE_MAX_LENGTH 1024
#define WELCOME		"welcome\n"

struct guest {
	struct guest *next;
	struct lsc_stream *stream;
	char name[NAME_MAX_LENGTH + 1];
};

struct chat {
	struct guest *first;
};

/* To everybody but `from`. Does not suspend, so the list cannot change under it. */
static void tell(struct chat *chat, const struct guest *from, const char *text, size_t size)
{
	for (struct guest *g = chat->first; g; g = g->next) {
		if (g == from)
			continue;
		lsc_stream_write(g->stream, text, size);
		if (lsc_stream_buffered(g->stream) > UNREAD_MAX)
			lsc_stream_abort(g->stream); /* its own task sees that, and leaves */
	}
}

static void say(struct chat *chat, const struct guest *from, const char *before, const char *text,
		size_t size)
{
	char line[NAME_MAX_LENGTH + LINE_MAX_LENGTH + 8];
	int n = snprintf(line, sizeof(line), "%s%s%.*s\n", from->name, before, (int)size, text);

	tell(chat, from, line, (size_t)n);
}

static size_t without_newline(const char *line, size_t size)
{
	while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
		size--;
	return size;
}

static void enter(struct chat *chat, struct guest *guest)
{
	guest->next = chat->first;
	chat->first = guest;
	lsc_stream_write(guest->stream, WELCOME, sizeof(WELCOME) - 1);
	say(chat, guest, " is here", "", 0);
}

static void leave(struct chat *chat, struct guest *guest)
{
	struct guest **at = &chat->first;

	while (*at != guest)
		at = &(*at)->next;
	*at = guest->next;
	say(chat, guest, " is gone", "", 0);
}

static int talk(struct lsc_stream *stream, void *arg)
{
	struct chat *chat = arg;
	struct guest guest = {.stream = stream};
	const char *line;
	ssize_t n;

	lsc_stream_set_limits(stream, LINE_MAX_LENGTH, 0, 0);
	n = lsc_stream_read_line(stream, &line);
	if (n <= 0)
		return (int)n;
	snprintf(guest.name, sizeof(guest.name), "%.*s", (int)without_newline(line, (size_t)n),
		 line);
	enter(chat, &guest);
	while ((n = lsc_stream_read_line(stream, &line)) > 0)
		say(chat, &guest, ": ", line, without_newline(line, (size_t)n));
	leave(chat, &guest);
	return (int)n;
}

/* The guests use the chat, which lies on the stack of main(). */
static void close_up(void *arg)
{
	const struct chat *chat = arg;

	for (struct guest *g = chat->first; g; g = g->next)
		lsc_stream_abort(g->stream);
}

int main(int argc, char **argv)
{
	struct chat chat = {NULL};

	return serving_main(argc, argv, talk, &chat, close_up);
}
