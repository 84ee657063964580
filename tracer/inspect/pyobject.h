/* SPDX-License-Identifier: MIT */
/*
 * Objects of a CPython in another process: which type they are of, what a text says, what a
 * dictionary holds. Whatever lies there, each of these ends soon and says no rather than something
 * wrong.
 */
#ifndef LSC_INSPECT_PYOBJECT_H
#define LSC_INSPECT_PYOBJECT_H

#include "inspect/pyview.h"

bool pyobject_read(const struct pyview *v, uint64_t address, void *buf, size_t size);

/* Does the type lie there? The first one that has its name is the type from then on. */
bool pyobject_is_type(struct pyview *v, uint64_t address, enum pytype type);

/* The object is of exactly that type, none derived from it. */
bool pyobject_is(struct pyview *v, uint64_t object, enum pytype type);

/* The object's type, or one that it is derived from, has this name. */
bool pyobject_has_base(const struct pyview *v, uint64_t object, const char *name);

/* The name of the object's type, without its module. False: none can be read. */
bool pyobject_type_name(const struct pyview *v, uint64_t object, char *buf, size_t size);

/* A `str` as UTF-8 into buf of size bytes, with a NUL, cut where it does not fit; what is no
 * character becomes U+FFFD. False, with an empty text, when it is no `str`. */
bool pyobject_text(struct pyview *v, uint64_t object, char *buf, size_t size);

/* The same of one whose first `have` bytes are known from before: where it goes on behind them, it
 * must still be there. */
bool pyobject_text_seen(struct pyview *v, uint64_t object, const uint8_t *bytes, size_t have,
			char *buf, size_t size);

/* An `int` from 0 to 2^60. */
bool pyobject_count(struct pyview *v, uint64_t object, uint64_t *ret);
bool pyobject_count_seen(struct pyview *v, const void *bytes, size_t n, uint64_t *ret);

/* The items of a `bytes`: how many there are, of which up to size are read. False: no `bytes`. */
bool pyobject_bytes(struct pyview *v, uint64_t object, void *buf, size_t size, size_t *ret_size);

/* Calls fn for each pair of a `dict` until it says true. False: it never did. */
typedef bool pyobject_pair_fn(struct pyview *v, uint64_t key, uint64_t value, void *arg);
bool pyobject_each(struct pyview *v, uint64_t dict, pyobject_pair_fn *fn, void *arg);

/* The same of keys that instances share, and of one instance's values. */
bool pyobject_each_split(struct pyview *v, uint64_t keys, uint64_t values, pyobject_pair_fn *fn,
			 void *arg);

/* The value of a key that is an ASCII text; 0 not there. */
uint64_t pyobject_find(struct pyview *v, uint64_t dict, const char *key);

/* An attribute of an instance of a class written in Python; 0 not there. */
uint64_t pyobject_attribute(struct pyview *v, uint64_t object, const char *name);

#endif
