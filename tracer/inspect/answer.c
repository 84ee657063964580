/* SPDX-License-Identifier: MIT */
/* The worker's side of message_result_read(). */
#include "inspect/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void answer_init(struct answer *a, uint64_t cookie)
{
	a->head = (struct message_result){.kind = MESSAGE_RESULT, .cookie = cookie, .text_size = 1};
	a->nseen = a->nobjects = 0;
	a->text[0] = '\0';
}

/* The C++ library's own demangler; it bounds its recursion. Its headers are C++. */
char *__cxa_demangle(const char *mangled, char *buf, size_t *size, int *status);

/* Rust's older names are those of C++ with a hash at the end, and what C++ has no letters for in
 * dollars: "_$LT$app..Order$u20$as$u20$app..Settle$GT$::settle::h0123456789abcdef". */
#define RUST_HASH 19 /* "::h" and 16 digits */

static bool is_rust(const char *plain, size_t n)
{
	return n > RUST_HASH && !strncmp(plain + n - RUST_HASH, "::h", 3) &&
	       strspn(plain + n - 16, "0123456789abcdef") == 16;
}

/* What stands at an escape, and how long that is; 0: it is none. */
static size_t escape(const char *at, char *ret)
{
	static const struct {
		const char *code;
		char plain;
	} codes[] = {{"$LT$", '<'},  {"$GT$", '>'},   {"$LP$", '('},  {"$RP$", ')'},
		     {"$RF$", '&'},  {"$BP$", '*'},   {"$C$", ','},   {"$SP$", '@'},
		     {"$u20$", ' '}, {"$u7b$", '{'},  {"$u7d$", '}'}, {"$u5b$", '['},
		     {"$u5d$", ']'}, {"$u27$", '\''}, {"$u2b$", '+'}, {"$u3b$", ';'},
		     {"$u22$", '"'}};

	for (size_t i = 0; i < LSC_ARRAY_LEN(codes); i++) {
		size_t n = strlen(codes[i].code);
		if (!strncmp(at, codes[i].code, n)) {
			*ret = codes[i].plain;
			return n;
		}
	}
	return 0;
}

/* In place: it only gets shorter. */
static void decode_rust(char *name)
{
	char *to = name;
	size_t n;

	name[strlen(name) - RUST_HASH] = '\0';
	for (const char *at = name; *at;) {
		bool begins = at == name || at[-1] == ':';
		if (begins && at[0] == '_' && at[1] == '$') {
			at++;
		} else if ((n = escape(at, to))) {
			at += n;
			to++;
		} else if (at[0] == '.' && at[1] == '.') {
			*to++ = ':';
			*to++ = ':';
			at += 2;
		} else {
			*to++ = *at++;
		}
	}
	*to = '\0';
}

static char *demangle(const char *name)
{
	const char *clone = strstr(name, ".llvm."); /* and a number of its module */
	lsc_autofree char *head = clone ? strndup(name, (size_t)(clone - name)) : NULL;

	if (clone && !head)
		return NULL;
	char *plain = __cxa_demangle(head ? head : name, NULL, NULL, NULL);
	if (plain && is_rust(plain, strlen(plain)))
		decode_rust(plain);
	return plain;
}

char *answer_plain(const char *name)
{
	size_t len = strnlen(name, MESSAGE_TEXT_MAX), bare = strcspn(name, "@");

	if (len >= MESSAGE_TEXT_MAX - 1) /* cut, perhaps */
		return NULL;
	/* the linker writes a symbol's version behind it, into .symtab: "read@@GLIBC_2.2.5" */
	if (bare && bare < len)
		return strndup(name, bare);
	return strncmp(name, "_Z", 2) == 0 ? demangle(name) : NULL;
}

static bool find(const struct answer *a, const char *key, uint32_t *ret_offset)
{
	for (size_t i = 0; i < a->nseen; i++) {
		if (a->seen[i].text == key) {
			*ret_offset = a->seen[i].offset;
			return true;
		}
	}
	return false;
}

static uint32_t append(struct answer *a, const char *key, const char *text)
{
	size_t len = strnlen(text, MESSAGE_TEXT_MAX - 1);
	uint32_t at = a->head.text_size;
	if (at + len + 1 > sizeof(a->text))
		return 0;
	memcpy(a->text + at, text, len);
	a->text[at + len] = '\0';
	a->head.text_size += (uint32_t)len + 1;
	if (key && a->nseen < LSC_ARRAY_LEN(a->seen)) {
		a->seen[a->nseen].text = key;
		a->seen[a->nseen++].offset = at;
	}
	return at;
}

uint32_t answer_text(struct answer *a, const char *text)
{
	uint32_t at;

	if (!text || !text[0])
		return 0;
	return find(a, text, &at) ? at : append(a, text, text);
}

uint32_t answer_copy(struct answer *a, const char *text)
{
	return text && text[0] ? append(a, NULL, text) : 0;
}

bool answer_has_object(const struct answer *a, uint64_t object, uint32_t *ret)
{
	for (size_t i = 0; i < a->nobjects; i++) {
		if (a->objects[i].object == object) {
			*ret = a->objects[i].offset;
			return true;
		}
	}
	return false;
}

uint32_t answer_object(struct answer *a, uint64_t object, const char *text)
{
	uint32_t offset;

	if (answer_has_object(a, object, &offset))
		return offset;
	offset = answer_copy(a, text);
	if (a->nobjects < LSC_ARRAY_LEN(a->objects)) {
		a->objects[a->nobjects].object = object;
		a->objects[a->nobjects++].offset = offset;
	}
	return offset;
}

struct message_frame *answer_frame(struct answer *a)
{
	if (a->head.nframes >= INSPECTOR_FRAMES_MAX)
		return NULL;
	struct message_frame *f = &a->frames[a->head.nframes++];
	*f = (struct message_frame){0};
	return f;
}

size_t answer_write(const struct answer *a, void *buf)
{
	char *at = buf;
	size_t frames = a->head.nframes * sizeof(a->frames[0]);

	memcpy(at, &a->head, sizeof(a->head));
	memcpy(at + sizeof(a->head), a->frames, frames);
	memcpy(at + sizeof(a->head) + frames, a->text, a->head.text_size);
	return sizeof(a->head) + frames + a->head.text_size;
}
