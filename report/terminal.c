/* SPDX-License-Identifier: MIT */
/* Folding of lines, behind a stream of the C library's. A column is a code point. */
#include "terminal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN  40
#define INDENT_MAX 24 /* of what goes on; a second column further right is none */
#define PREFIX_MAX (3 * INDENT_MAX + 1)

#define BAR    "\xe2\x94\x82" /* │ */
#define BRANCH "\xe2\x94\x9c" /* ├ */
#define LAST   "\xe2\x94\x94" /* └ */
#define DASH   "\xe2\x94\x80" /* ─ */

unsigned terminal_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	unsigned long n = 0;

	if (columns && isdigit((unsigned char)*columns))
		n = strtoul(columns, NULL, 10);
	else if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
		n = size.ws_col;
	if (!n || n > 100000)
		return 0;
	return n < WIDTH_MIN ? WIDTH_MIN : (unsigned)n;
}

struct fold {
	FILE *out;  /* borrows */
	char *line; /* owns; what came since the last newline */
	size_t size, room;
};

/* The length of what stands at s as one column, or as none: an escape sequence. */
static size_t unit(const char *s, const char *end, unsigned *ret_columns)
{
	const char *at = s + 1;

	*ret_columns = 1;
	if (*s == '\033' && at < end && *at == '[') {
		*ret_columns = 0;
		for (at++; at < end && !isalpha((unsigned char)*at); at++)
			;
		return (size_t)(at < end ? at + 1 - s : at - s);
	}
	while (at < end && (*at & 0xc0) == 0x80)
		at++;
	return (size_t)(at - s);
}

/* A number and its unit stay together: 120.1 ms, 3 tasks. */
static bool may_break(const char *space, const char *begin, const char *end)
{
	if (space == begin || space + 1 >= end || space[-1] == ' ' || space[1] == ' ')
		return true;
	return !(isdigit((unsigned char)space[-1]) &&
		 (isalpha((unsigned char)space[1]) || space[1] == '%'));
}

static bool is_piece(const char *s, const char *end, const char *piece)
{
	return (size_t)(end - s) >= strlen(piece) && !memcmp(s, piece, strlen(piece));
}

/* What lines begin with that go on this one; where its text begins into *ret_text. */
static void find_prefix(const char *line, const char *end, char prefix[PREFIX_MAX],
			const char **ret_text)
{
	const char *s = line;
	unsigned column = 0, columns, gap = 0;
	bool tree = false;

	prefix[0] = '\0';
	for (; s < end && column < INDENT_MAX; column++) {
		bool branch = is_piece(s, end, BRANCH), bar = branch || is_piece(s, end, BAR);

		if (!bar && *s != ' ' && !is_piece(s, end, LAST) && !is_piece(s, end, DASH))
			break;
		tree |= *s != ' ';
		strcat(prefix, bar ? BAR : " ");
		s += unit(s, end, &columns);
	}
	for (*ret_text = s; *ret_text < end && **ret_text == ' '; ++*ret_text)
		;
	unsigned indent = column + 2;
	for (unsigned at = column; !tree && s < end && at <= INDENT_MAX; at += columns) {
		size_t n = unit(s, end, &columns);

		if (columns && *s != ' ' && gap >= 2) {
			indent = at;
			break;
		}
		if (columns)
			gap = *s == ' ' ? gap + 1 : 0;
		s += n;
	}
	for (; column < indent && column < INDENT_MAX; column++)
		strcat(prefix, " ");
}

static void put_line(struct fold *f, unsigned width)
{
	const char *s = f->line, *end = f->line + f->size, *space = NULL, *begin;
	char prefix[PREFIX_MAX];
	unsigned at = 0, columns;

	find_prefix(f->line, end, prefix, &begin);
	const char *from = f->line; /* of what was not put yet */
	unsigned indent = 0;
	for (const char *c = prefix; *c; c++)
		indent += (*c & 0xc0) != 0x80;
	while (s < end) {
		size_t n = unit(s, end, &columns);

		if (*s == ' ' && s > begin && may_break(s, begin, end))
			space = s;
		if (at + columns > width && space) {
			const char *stop = space;

			while (stop > from && stop[-1] == ' ')
				stop--;
			fwrite(from, 1, (size_t)(stop - from), f->out);
			for (from = space; from < end && *from == ' '; from++)
				;
			fprintf(f->out, "%s%s", from < end ? "\n" : "", from < end ? prefix : "");
			s = begin = from;
			at = indent;
			space = NULL;
			continue;
		}
		at += columns;
		s += n;
	}
	fwrite(from, 1, (size_t)(end - from), f->out);
	fputc('\n', f->out);
}

static bool keep(struct fold *f, const char *s, size_t n)
{
	if (f->size + n >= f->room) {
		size_t room = f->size + n + 256;
		char *line = realloc(f->line, room);

		if (!line)
			return false;
		f->line = line;
		f->room = room;
	}
	memcpy(f->line + f->size, s, n);
	f->size += n;
	return true;
}

static ssize_t fold_write(void *cookie, const char *buf, size_t size)
{
	struct fold *f = cookie;

	for (size_t at = 0; at < size;) {
		const char *newline = memchr(buf + at, '\n', size - at);
		size_t n = newline ? (size_t)(newline - (buf + at)) : size - at;

		if (!keep(f, buf + at, n)) {
			errno = ENOMEM;
			return 0;
		}
		at += n + (newline != NULL);
		if (!newline)
			break;
		unsigned width = terminal_width(f->out);
		put_line(f, width ? width : UINT_MAX);
		f->size = 0;
	}
	return ferror(f->out) ? 0 : (ssize_t)size;
}

static int fold_close(void *cookie)
{
	struct fold *f = cookie;

	if (f->size)
		fwrite(f->line, 1, f->size, f->out);
	free(f->line);
	free(f);
	return 0;
}

FILE *terminal_fold(FILE *out)
{
	struct fold *f = calloc(1, sizeof(*f));
	FILE *stream = NULL;

	if (f) {
		f->out = out;
		stream = fopencookie(
			f, "w", (cookie_io_functions_t){.write = fold_write, .close = fold_close});
	}
	if (!stream)
		free(f);
	return stream;
}
