/* SPDX-License-Identifier: MIT */
/* Layouts: Include/cpython/unicodeobject.h, longintrepr.h, Objects/dict-common.h of 3.8 to 3.15. */
#include "inspect/pyobject.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/utf8.h"

#define TYPE		8
#define ITEMS		16 /* ob_size of a variable object, md_dict of a module */
#define TYPE_NAME	24
#define TYPE_BASE	256
#define BASES_MAX	16
#define NAME_MAX	32
#define BYTES_ITEMS	32
#define DICT_KEYS	32
#define TEXT_MAX	1024 /* characters of a text that are read */
#define TEXT_READ	240  /* bytes of its object at once */
#define PAIRS_MAX	8192 /* a read or two for each */
#define PAIRS_AT_A_TIME 64
#define PAIRS_SPLIT	64 /* attributes of an instance; a class shares 30 names at most */
#define VALUES_HEAD	8  /* PyDictValues since 3.13: capacity, size, embedded, valid */

bool pyobject_read(const struct pyview *v, uint64_t address, void *buf, size_t size)
{
	return v->py.read(v->py.arg, address, buf, size);
}

/* Most texts and tables are short: one read is for the head and what follows it; where that is not
 * all there, at the end of a mapping, the head alone. How much was read; 0: nothing. */
static size_t read_some(const struct pyview *v, uint64_t address, void *buf, size_t least,
			size_t most)
{
	if (pyobject_read(v, address, buf, most))
		return most;
	return pyobject_read(v, address, buf, least) ? least : 0;
}

static bool is_named(const struct pyview *v, uint64_t type, const char *name)
{
	size_t size = strlen(name) + 1;
	char text[NAME_MAX];
	uint64_t at;

	return size <= sizeof(text) && pyobject_read(v, type + TYPE_NAME, &at, sizeof(at)) &&
	       pyobject_read(v, at, text, size) && memcmp(text, name, size) == 0;
}

bool pyobject_is_type(struct pyview *v, uint64_t address, enum pytype type)
{
	static const char *const names[PYTYPE_COUNT] = {
		[PYTYPE_CODE] = "code",	    [PYTYPE_STR] = "str",   [PYTYPE_BYTES] = "bytes",
		[PYTYPE_INT] = "int",	    [PYTYPE_DICT] = "dict", [PYTYPE_FRAME] = "frame",
		[PYTYPE_NONE] = "NoneType",
	};

	if (!v->types[type] && address && is_named(v, address, names[type]))
		v->types[type] = address;
	return address && v->types[type] == address;
}

bool pyobject_is(struct pyview *v, uint64_t object, enum pytype type)
{
	uint64_t address;

	return cpython_read_pointer(&v->py, object + TYPE, &address) &&
	       pyobject_is_type(v, address, type);
}

bool pyobject_has_base(const struct pyview *v, uint64_t object, const char *name)
{
	uint64_t type;

	if (!cpython_read_pointer(&v->py, object + TYPE, &type))
		return false;
	for (int i = 0; i < BASES_MAX && type; i++) {
		if (is_named(v, type, name))
			return true;
		if (!cpython_read_pointer(&v->py, type + TYPE_BASE, &type))
			return false;
	}
	return false;
}

bool pyobject_type_name(const struct pyview *v, uint64_t object, char *buf, size_t size)
{
	uint64_t type, at;
	char text[128];
	size_t n = 0;

	if (!cpython_read_pointer(&v->py, object + TYPE, &type) || !type ||
	    !pyobject_read(v, type + TYPE_NAME, &at, sizeof(at)))
		return false;
	while (n < sizeof(text) && pyobject_read(v, at + n, text + n, 1) && text[n]) {
		if (text[n] < ' ' || text[n] > '~')
			return false;
		n++;
	}
	if (!n || n == sizeof(text) || text[n])
		return false;
	const char *dot = strrchr(text, '.'), *name = dot ? dot + 1 : text;
	snprintf(buf, size, "%s", name);
	return true;
}

/* ---- texts ---- */

/* Turns n characters of `kind` bytes each into UTF-8. */
static void put_characters(const uint8_t *raw, size_t n, unsigned int kind, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		char c[4];
		uint32_t point = 0;
		memcpy(&point, raw + i * kind, kind);
		size_t length = utf8_put(point, c);
		if (at + length >= size)
			break;
		memcpy(buf + at, c, length);
		at += length;
	}
	buf[at] = '\0';
}

struct text_head { /* PyASCIIObject, as far as it is the same in all versions */
	uint64_t count, type, length, hash;
	uint32_t state, pad;
};

/* Where the characters begin, n of them to be told, of `kind` bytes each. */
struct text_place {
	size_t from, n;
	unsigned int kind;
};

static bool place_text(struct pyview *v, const struct text_head *head, size_t size,
		       struct text_place *ret)
{
	unsigned int kind = head->state >> 2 & 7;
	bool compact = head->state >> 5 & 1, ascii = head->state >> 6 & 1;

	if (!pyobject_is_type(v, head->type, PYTYPE_STR) || !compact ||
	    (kind != 1 && kind != 2 && kind != 4) || (ascii && kind != 1))
		return false;
	/* each character takes a byte at least */
	size_t n = head->length < size ? head->length : size;
	*ret = (struct text_place){.from = ascii ? v->layout.text_ascii : v->layout.text_wide,
				   .n = n < TEXT_MAX ? n : TEXT_MAX,
				   .kind = kind};
	return true;
}

bool pyobject_text_seen(struct pyview *v, uint64_t object, const uint8_t *bytes, size_t have,
			char *buf, size_t size)
{
	uint8_t raw[TEXT_MAX * sizeof(uint32_t)];
	struct text_head head, now;
	struct text_place p;

	buf[0] = '\0';
	if (have < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	if (!place_text(v, &head, size, &p))
		return false;
	if (p.from + p.n * p.kind <= have) {
		memcpy(raw, bytes + p.from, p.n * p.kind);
	} else if (!pyobject_read(v, object, &now, sizeof(now)) || now.type != head.type ||
		   now.length != head.length || now.state != head.state ||
		   !pyobject_read(v, object + p.from, raw, p.n * p.kind) ||
		   (have > p.from && memcmp(raw, bytes + p.from, have - p.from) != 0)) {
		return false;
	}
	put_characters(raw, p.n, p.kind, buf, size);
	return true;
}

bool pyobject_text(struct pyview *v, uint64_t object, char *buf, size_t size)
{
	uint8_t bytes[TEXT_READ];
	size_t have = read_some(v, object, bytes, sizeof(struct text_head), sizeof(bytes));

	return pyobject_text_seen(v, object, bytes, have, buf, size);
}

struct number_head {
	uint64_t count, type, size; /* and sign */
	uint32_t digits[2];
};

static bool put_number(struct pyview *v, const struct number_head *head, uint64_t *ret)
{
	if (!pyobject_is_type(v, head->type, PYTYPE_INT))
		return false;
	/* since 3.12 the number of digits stands above three bits: 0 positive, 1 zero, 2 negative
	 */
	uint64_t digits = v->layout.minor < 12 ? head->size : head->size >> 3;
	if (digits > 2 || (v->layout.minor >= 12 && head->size & 3))
		return false;
	*ret = 0;
	for (size_t i = digits; i-- > 0;)
		*ret = *ret << 30 | (head->digits[i] & 0x3fffffff);
	return true;
}

bool pyobject_count(struct pyview *v, uint64_t object, uint64_t *ret)
{
	struct number_head head = {0};

	return read_some(v, object, &head, sizeof(head) - sizeof(head.digits[1]), sizeof(head)) &&
	       put_number(v, &head, ret);
}

bool pyobject_count_seen(struct pyview *v, const void *bytes, size_t n, uint64_t *ret)
{
	struct number_head head = {0};

	memcpy(&head, bytes, n < sizeof(head) ? n : sizeof(head));
	return put_number(v, &head, ret);
}

bool pyobject_bytes(struct pyview *v, uint64_t object, void *buf, size_t size, size_t *ret_size)
{
	struct {
		uint64_t count, type, n, hash;
		uint8_t items[480];
	} head;
	size_t have = read_some(v, object, &head, BYTES_ITEMS, sizeof(head));

	if (!have || !pyobject_is_type(v, head.type, PYTYPE_BYTES) || head.n > INT64_MAX)
		return false;
	size_t n = head.n < size ? head.n : size;
	if (BYTES_ITEMS + n <= have)
		memcpy(buf, head.items, n);
	else if (!pyobject_read(v, object + BYTES_ITEMS, buf, n))
		return false;
	*ret_size = head.n;
	return true;
}

/* ---- dictionaries ---- */

struct pairs {
	uint64_t at, count;
	size_t size, key, value; /* of one, and where in it */
};

/* Where the keys of a dictionary have their pairs; those of instances have no values there. */
static bool find_pairs(const struct pyview *v, uint64_t keys, bool split, struct pairs *ret)
{
	uint64_t head[5];

	if (!pyobject_read(v, keys, head, sizeof(head)))
		return false;
	if (v->layout.minor >= 11) {
		/* dk_refcnt; dk_log2_size, dk_log2_index_bytes, dk_kind; dk_usable, dk_nentries */
		unsigned int index_log = head[1] >> 8 & 0xff, kind = head[1] >> 16 & 0xff;
		uint64_t count = head[3];
		if (index_log > 32 || kind > 2 || (kind == 2) != split)
			return false;
		*ret = kind ? (struct pairs){keys + 32 + (1ull << index_log), count, 16, 0, 8}
			    : (struct pairs){keys + 32 + (1ull << index_log), count, 24, 8, 16};
	} else {
		/* dk_refcnt, dk_size, dk_lookup, dk_usable, dk_nentries */
		uint64_t slots = head[1];
		if (slots > UINT32_MAX)
			return false;
		uint64_t each = slots <= 0xff ? 1 : slots <= 0xffff ? 2 : 4;
		*ret = (struct pairs){keys + 40 + slots * each, head[4], 24, 8, 16};
	}
	return ret->count <= PAIRS_MAX;
}

bool pyobject_each_split(struct pyview *v, uint64_t keys, uint64_t values, pyobject_pair_fn *fn,
			 void *arg)
{
	uint64_t some[PAIRS_SPLIT];
	struct pairs p;

	if (!find_pairs(v, keys, true, &p))
		return false;
	size_t n = p.count < PAIRS_SPLIT ? p.count : PAIRS_SPLIT;
	if (!pyobject_read(v, values, some, n * sizeof(some[0])))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t key;
		if (some[i] && cpython_read_pointer(&v->py, p.at + i * p.size + p.key, &key) &&
		    key && fn(v, key, some[i], arg))
			return true;
	}
	return false;
}

bool pyobject_each(struct pyview *v, uint64_t dict, pyobject_pair_fn *fn, void *arg)
{
	uint8_t some[PAIRS_AT_A_TIME * 24];
	uint64_t keys[2]; /* and values: an instance's */
	struct pairs p;

	if (!pyobject_is(v, dict, PYTYPE_DICT) ||
	    !pyobject_read(v, dict + DICT_KEYS, keys, sizeof(keys)))
		return false;
	if (keys[1])
		return pyobject_each_split(
			v, keys[0], keys[1] + (v->layout.minor >= 13 ? VALUES_HEAD : 0), fn, arg);
	if (!find_pairs(v, keys[0], false, &p))
		return false;
	for (uint64_t done = 0; done < p.count; done += PAIRS_AT_A_TIME) {
		size_t n = p.count - done < PAIRS_AT_A_TIME ? p.count - done : PAIRS_AT_A_TIME;
		if (!pyobject_read(v, p.at + done * p.size, some, n * p.size))
			return false;
		for (size_t i = 0; i < n; i++) {
			uint64_t key, value;
			memcpy(&key, some + i * p.size + p.key, sizeof(key));
			memcpy(&value, some + i * p.size + p.value, sizeof(value));
			if (key && value && fn(v, key, value, arg))
				return true;
		}
	}
	return false;
}

struct search {
	const char *text;
	uint64_t value;
};

static bool is_sought(struct pyview *v, uint64_t key, uint64_t value, void *arg)
{
	struct search *s = arg;
	size_t size = strlen(s->text);
	uint64_t length;
	char text[NAME_MAX];

	/* most differ in length: one read */
	if (!pyobject_read(v, key + ITEMS, &length, sizeof(length)) || length != size ||
	    !pyobject_text(v, key, text, sizeof(text)) || strcmp(text, s->text) != 0)
		return false;
	s->value = value;
	return true;
}

uint64_t pyobject_find(struct pyview *v, uint64_t dict, const char *key)
{
	struct search s = {.text = key};

	return pyobject_each(v, dict, is_sought, &s) ? s.value : 0;
}

/* ---- instances ---- */

#define TYPE_BASICSIZE	   32
#define TYPE_FLAGS	   168
#define TYPE_DICTOFFSET	   288
#define FLAG_INLINE_VALUES (1u << 2) /* since 3.13 */
#define FLAG_MANAGED_DICT  (1u << 4) /* since 3.11 */

/* What the instance has beside a dictionary: where its values lie; 0 none. */
static uint64_t find_values(const struct pyview *v, uint64_t object, uint64_t type, uint64_t flags)
{
	uint64_t at, size;
	uint8_t head[VALUES_HEAD];

	switch (v->layout.minor) {
	case 11:
		return cpython_read_pointer(&v->py, object - 32, &at) ? at : 0;
	case 12: /* a pointer one less, if it is one to values */
		return pyobject_read(v, object - 24, &at, sizeof(at)) && at & 1 ? at + 1 : 0;
	}
	if (!(flags & FLAG_INLINE_VALUES) ||
	    !pyobject_read(v, type + TYPE_BASICSIZE, &size, sizeof(size)) || size > INT32_MAX ||
	    !pyobject_read(v, object + size, head, sizeof(head)))
		return 0;
	return head[3] ? object + size + VALUES_HEAD : 0;
}

static bool each_attribute(struct pyview *v, uint64_t object, pyobject_pair_fn *fn, void *arg)
{
	uint64_t type, flags, dict, keys, values = 0;
	int64_t offset;

	if (!cpython_read_pointer(&v->py, object + TYPE, &type) || !type ||
	    !pyobject_read(v, type + TYPE_FLAGS, &flags, sizeof(flags)))
		return false;
	bool managed = v->layout.minor >= 11 && flags & FLAG_MANAGED_DICT;
	if (managed)
		values = find_values(v, object, type, flags);
	if (values)
		return cpython_read_pointer(&v->py, type + v->layout.type_keys, &keys) && keys &&
		       pyobject_each_split(v, keys, values, fn, arg);
	if (managed)
		return cpython_read_pointer(&v->py, object - 24, &dict) && dict &&
		       pyobject_each(v, dict, fn, arg);
	return pyobject_read(v, type + TYPE_DICTOFFSET, &offset, sizeof(offset)) && offset > 0 &&
	       offset < INT32_MAX &&
	       cpython_read_pointer(&v->py, object + (uint64_t)offset, &dict) && dict &&
	       pyobject_each(v, dict, fn, arg);
}

uint64_t pyobject_attribute(struct pyview *v, uint64_t object, const char *name)
{
	struct search s = {.text = name};

	return each_attribute(v, object, is_sought, &s) ? s.value : 0;
}
