/* SPDX-License-Identifier: MIT */
/*
 * Format: src/deoptimizer/frame-translation-builder.cc (translation-array.cc up to V8 11). Numbers
 * are seven bits a byte, least first. A translation begins with how far back the one lies whose
 * operations it may repeat, by their position in it.
 */
#include "inspect/v8translation.h"

#include <string.h>

#define OPERATIONS_MAX 20000 /* of one translation */
#define LITERAL	       1     /* which operand of a frame */

struct walk {
	const struct v8operations *operations;
	const uint8_t *bytes;
	size_t size, at;
	size_t previous;    /* in the translation that is repeated */
	uint32_t repeats;   /* operations that are still taken from there, this one included */
	uint32_t since;	    /* operations here since one was taken from there */
	unsigned int taken; /* in all */
	bool bad;
};

static uint32_t take_number(struct walk *w, size_t *at)
{
	uint32_t n = 0;

	for (unsigned int shift = 0; shift < 35; shift += 7) {
		if (*at >= w->size)
			break;
		uint8_t byte = w->bytes[(*at)++];
		n |= (uint32_t)(byte & 127) << shift;
		if (!(byte & 128))
			return n;
	}
	w->bad = true;
	return 0;
}

static int32_t signed_of(uint32_t n)
{
	return n & 1 ? -(int32_t)(n >> 1) : (int32_t)(n >> 1);
}

static size_t operands_of(char kind)
{
	return (size_t)(kind - (kind >= 'k' ? 'k' : kind >= 'a' ? 'a' : kind >= 'A' ? 'A' : '0'));
}

static bool begins(char kind)
{
	return kind >= 'A' && kind < 'a';
}

/* The kind of an operation by its number; '0' and bad: there is none. */
static char kind_of(struct walk *w, uint32_t number)
{
	if (number < strlen(w->operations->kinds))
		return w->operations->kinds[number];
	w->bad = true;
	return '0';
}

static char take_previous(struct walk *w)
{
	if (w->previous < w->size)
		return kind_of(w, w->bytes[w->previous++]);
	w->bad = true;
	return '0';
}

static char repeat(struct walk *w, uint32_t times)
{
	w->repeats = times;
	for (; w->since && !w->bad; w->since--) {
		size_t n = operands_of(take_previous(w));
		while (n--)
			take_number(w, &w->previous);
		w->bad |= w->taken++ > OPERATIONS_MAX;
	}
	return take_previous(w);
}

/* The next operation, whose operands follow at the place that is returned. */
static char take_operation(struct walk *w, size_t **ret_at)
{
	uint32_t last = (uint32_t)strlen(w->operations->kinds) - 1;

	*ret_at = &w->at;
	w->bad |= w->taken++ > OPERATIONS_MAX;
	if (w->repeats && --w->repeats) {
		*ret_at = &w->previous;
		return take_previous(w);
	}
	w->bad |= w->at >= w->size;
	if (w->bad)
		return '0';
	if (w->operations->plain)
		return kind_of(w, (uint32_t)signed_of(take_number(w, &w->at)));
	uint8_t byte = w->bytes[w->at++];
	if (byte >= last) { /* bytes beyond the last one have the number in themselves */
		*ret_at = &w->previous;
		return repeat(w, byte > last ? byte - last - 1 : take_number(w, &w->at));
	}
	char kind = kind_of(w, byte);
	w->since++;
	if (begins(kind)) {
		size_t at = w->at;
		uint32_t back = take_number(w, &at);
		w->bad |= back > w->at - 1;
		w->previous = w->at - 1 - (w->bad ? 0 : back);
		w->since = 1;
	}
	return kind;
}

size_t v8translation_read(const struct v8operations *o, const uint8_t *bytes, size_t size,
			  size_t at, int32_t *ret_literals, size_t max)
{
	struct walk w = {.operations = o, .bytes = bytes, .size = size, .at = at};
	size_t wanted = 0, found = 0;

	/* to the next one, or the end: so that it is sure to have been understood */
	while (!w.bad && (!wanted || w.at < size || w.repeats > 1)) {
		size_t *from;
		char kind = take_operation(&w, &from);
		if (begins(kind) && wanted)
			break;
		if (w.bad || begins(kind) == (wanted > 0))
			return 0;
		for (size_t i = 0, n = operands_of(kind); i < n; i++) {
			int32_t operand = signed_of(take_number(&w, from));
			if (begins(kind) && i == o->frames && operand > 0 && (size_t)operand <= max)
				wanted = (size_t)operand;
			if (kind >= 'a' && i == LITERAL && found++ < wanted)
				ret_literals[found - 1] = kind >= 'k' ? V8TRANSLATION_OWN : operand;
		}
		if (!wanted || found > wanted)
			return 0;
	}
	return w.bad || found < wanted ? 0 : found;
}
