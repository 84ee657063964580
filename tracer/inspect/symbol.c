/* SPDX-License-Identifier: MIT */
/* Names from the index, lines and inlined calls as an indexer told them. Runs in the worker alone.
 */
#include "inspect/symbol.h"

#include <stdlib.h>
#include <string.h>

#include "inspect/answer.h"
#include "inspect/space.h"

static struct symbol *find(const struct space *s, uint64_t address)
{
	struct symbol *y;

	HASH_FIND(hh, s->symbols, &address, sizeof(address), y);
	return y;
}

static void symbol_free(struct symbol *y)
{
	for (size_t i = 0; i < y->ntexts; i++)
		free(y->texts[i]);
	free(y);
}

void symbol_forget(struct symbol **symbols)
{
	struct symbol *y, *next;

	HASH_ITER(hh, *symbols, y, next)
	{
		HASH_DEL(*symbols, y);
		symbol_free(y);
	}
}

void symbol_trim(struct symbol **symbols)
{
	if (HASH_COUNT(*symbols) > SYMBOLS_MAX)
		symbol_forget(symbols);
}

/* Takes text, which may be NULL. */
static const char *keep(struct symbol *y, char *text)
{
	if (text)
		y->texts[y->ntexts++] = text;
	return text;
}

static const char *keep_copy(struct symbol *y, const char *text)
{
	return text ? keep(y, strdup(text)) : NULL;
}

static const char *keep_name(struct symbol *y, const char *name)
{
	char *plain = name ? answer_plain(name) : NULL;

	return plain ? keep(y, plain) : keep_copy(y, name);
}

static void name_last(struct symbol *y, const struct space_file *f)
{
	struct symbol_call *last = &y->calls[y->ncalls - 1];
	uint64_t address = y->address - f->bias;
	char name[MESSAGE_TEXT_MAX];
	struct index_row row;

	if (index_find(f->fd, &f->head, address, &row)) {
		if (index_name(f->fd, &f->head, &row, name))
			last->function = keep_name(y, name);
		y->exported = !(f->head.flags & INDEX_HAS_SYMTAB) && row.binding;
		y->entry = row.start + f->bias;
		return;
	}
	y->entry = entry_find(&f->entries, y->address, f->bias);
	if (!(f->head.flags & INDEX_HAS_SYMTAB) && index_before(f->fd, &f->head, address, &row) &&
	    index_name(f->fd, &f->head, &row, name))
		y->near = keep_name(y, name);
}

static struct symbol *add(struct space *s, uint64_t address)
{
	struct symbol *y = find(s, address);

	if (y) { /* what was known before is less */
		HASH_DEL(s->symbols, y);
		symbol_free(y);
	}
	y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->address = address;
	y->ncalls = 1;
	HASH_ADD(hh, s->symbols, address, sizeof(y->address), y);
	if (!y->hh.tbl) {
		symbol_free(y);
		return NULL;
	}
	return y;
}

const struct symbol *symbol_get(struct space *s, struct space_file *f, uint64_t address)
{
	struct symbol *y = find(s, address);

	if (y) {
		if (y->bare)
			space_need_line(s, f, address);
		return y;
	}
	y = add(s, address);
	if (!y)
		return NULL;
	y->bare = f->has_lines;
	if (y->bare)
		space_need_line(s, f, address);
	name_last(y, f);
	return y;
}

void symbol_learn(struct space *s, struct space_file *f, const struct message_index *m,
		  const void *message, uint32_t line)
{
	struct index_line l = index_message_line(message, line);
	struct symbol *y = add(s, l.offset - f->piece.offset + f->piece.start);

	if (!y)
		return;
	y->ncalls = l.ncalls;
	for (uint32_t i = 0; i < l.ncalls; i++) {
		struct symbol_call *c = &y->calls[i];
		c->function = keep_name(y, index_message_text(message, m, l.calls[i].function));
		c->file = keep_copy(y, index_message_text(message, m, l.calls[i].file));
		c->line = c->file ? l.calls[i].line : 0;
	}
	name_last(y, f);
}
