/* SPDX-License-Identifier: MIT */
/* Layouts: src/objects/string.tq. */
#include "inspect/v8string.h"

#include <string.h>

#include "inspect/utf8.h"

#define DEPTH_MAX	    32	       /* of strings in strings */
#define PIECES_MAX	    1024       /* that one is put together of */
#define CHUNK		    4096       /* bytes that are read at once */
#define CHARS_MAX	    (4u << 20) /* of a source text that are gone through */
#define NOT_CACHED	    0x10 /* of an external string's type: its characters' place is not known */
#define LINE_FEED	    '\n'
#define RETURN		    '\r'
#define LINE_SEPARATOR	    0x2028
#define PARAGRAPH_SEPARATOR 0x2029

/* Takes n characters; false: that is enough. */
typedef bool take_fn(const uint16_t *chars, size_t n, void *arg);

struct walk {
	const struct v8view *view;
	take_fn *take;
	void *arg;
	unsigned int pieces;
	bool enough;
};

static bool read_word(const struct v8view *v, uint64_t object, int32_t offset, uint64_t *ret)
{
	return v8view_read(v, object, offset, ret, sizeof(*ret));
}

static bool read_head(const struct v8view *v, uint64_t object, int32_t *ret_type, uint32_t *ret)
{
	int32_t type = v8view_type(v, object), length;

	if (type < 0 || type >= v->layout.first_nonstring ||
	    !v8view_read(v, object, v->layout.string_length, &length, sizeof(length)) || length < 0)
		return false;
	*ret_type = type;
	*ret = (uint32_t)length;
	return true;
}

bool v8string_length(const struct v8view *v, uint64_t object, uint32_t *ret)
{
	int32_t type;

	return read_head(v, object, &type, ret);
}

/* Hands over the characters from `from` to `to` of those that lie at address. */
static bool take_chars(struct walk *w, uint64_t address, bool wide, uint32_t from, uint32_t to)
{
	union {
		uint8_t narrow[CHUNK];
		uint16_t wide[CHUNK / 2];
	} raw;
	uint16_t chars[CHUNK];
	size_t width = wide ? 2 : 1;

	while (from < to && !w->enough) {
		size_t n = to - from < CHUNK / width ? to - from : CHUNK / width;
		if (!w->view->read(w->view->arg, address + from * width, &raw, n * width))
			return false;
		for (size_t i = 0; i < n; i++)
			chars[i] = wide ? raw.wide[i] : raw.narrow[i];
		w->enough = !w->take(chars, n, w->arg);
		from += (uint32_t)n;
	}
	return true;
}

/* The place of the characters of a string that has its own; 0: it has not, or not a known one. */
static uint64_t find_chars(const struct v8view *v, uint64_t object, int32_t type)
{
	const struct v8layout *l = &v->layout;
	int32_t form = type & l->representation_mask;
	uint64_t data;

	if (form == l->seq)
		return object - (uint64_t)l->heap_tag +
		       (uint64_t)((type & l->encoding_mask) == l->one_byte ? l->one_byte_chars
									   : l->two_byte_chars);
	if (form != l->external || type & NOT_CACHED ||
	    !read_word(v, object, l->external_resource + 8, &data))
		return 0;
	return data;
}

static bool walk(struct walk *w, uint64_t object, uint32_t from, uint32_t to, unsigned int depth)
{
	const struct v8view *v = w->view;
	const struct v8layout *l = &v->layout;
	uint64_t first, offset;
	uint32_t length;
	int32_t type, skip;

	for (; from < to && !w->enough; depth++) {
		if (depth >= DEPTH_MAX || w->pieces++ >= PIECES_MAX ||
		    !read_head(v, object, &type, &length) || to > length)
			return false;
		int32_t form = type & l->representation_mask;
		if (form == l->cons) {
			if (!read_word(v, object, l->cons_first, &first) ||
			    !read_word(v, object, l->cons_second, &object) ||
			    !v8string_length(v, first, &length))
				return false;
			if (from < length &&
			    !walk(w, first, from, to < length ? to : length, depth + 1))
				return false;
			from = from < length ? 0 : from - length;
			to = to < length ? 0 : to - length;
		} else if (form == l->sliced) {
			if (!read_word(v, object, l->sliced_offset, &offset) ||
			    !v8view_integer(offset, &skip) || skip < 0 ||
			    to > (uint32_t)INT32_MAX - (uint32_t)skip ||
			    !read_word(v, object, l->sliced_parent, &object))
				return false;
			from += (uint32_t)skip;
			to += (uint32_t)skip;
		} else if (form == l->thin) {
			if (!read_word(v, object, l->thin_actual, &object))
				return false;
		} else {
			uint64_t chars = find_chars(v, object, type);
			return chars &&
			       take_chars(w, chars, (type & l->encoding_mask) != l->one_byte, from,
					  to);
		}
	}
	return true;
}

/* ---- as a text ---- */

struct text {
	char *buf;
	size_t size, used;
	uint32_t high; /* the first half of a pair; 0 none */
};

static bool put(struct text *t, uint32_t c)
{
	char bytes[4];
	size_t n = utf8_put(c, bytes);

	if (t->used + n >= t->size)
		return false;
	memcpy(t->buf + t->used, bytes, n);
	t->used += n;
	return true;
}

static bool take_text(const uint16_t *chars, size_t n, void *arg)
{
	struct text *t = arg;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = chars[i], high = t->high;
		t->high = 0;
		if (high && (c & 0xfc00) == 0xdc00)
			c = 0x10000 + ((high & 0x3ff) << 10) + (c & 0x3ff);
		else if (high && !put(t, high))
			return false;
		if ((c & 0xfffffc00) == 0xd800)
			t->high = c;
		else if (!put(t, c))
			return false;
	}
	return true;
}

bool v8string_text(const struct v8view *v, uint64_t object, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size};
	struct walk w = {.view = v, .take = take_text, .arg = &t};
	uint32_t length;

	buf[0] = '\0';
	if (!v8string_length(v, object, &length))
		return false;
	/* each character takes a byte at least */
	if (!walk(&w, object, 0, length < size ? length : (uint32_t)size, 0)) {
		buf[0] = '\0';
		return false;
	}
	if (t.high && !w.enough)
		put(&t, t.high);
	buf[t.used] = '\0';
	return true;
}

/* ---- its lines ---- */

struct lines {
	uint32_t at, position;
	int ends;    /* of lines, ahead of the position */
	bool behind; /* a carriage return, which a line feed may follow */
};

static void end_line(struct lines *l, uint32_t at)
{
	l->ends += at < l->position;
}

static bool take_lines(const uint16_t *chars, size_t n, void *arg)
{
	struct lines *l = arg;

	for (size_t i = 0; i < n; i++, l->at++) {
		uint16_t c = chars[i];
		if (l->behind && c != LINE_FEED)
			end_line(l, l->at - 1);
		l->behind = c == RETURN;
		if (c == LINE_FEED || c == LINE_SEPARATOR || c == PARAGRAPH_SEPARATOR)
			end_line(l, l->at);
	}
	return true;
}

int v8string_line(const struct v8view *v, uint64_t object, uint32_t position)
{
	struct lines l = {.position = position};
	struct walk w = {.view = v, .take = take_lines, .arg = &l};
	uint32_t length;

	if (!v8string_length(v, object, &length) || position > length || position > CHARS_MAX ||
	    !walk(&w, object, 0, position < length ? position + 1 : length, 0))
		return 0;
	if (l.behind)
		end_line(&l, l.at - 1);
	return l.ends + 1;
}
