/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the store share: a directory of their own, files as bytes, a small capture with
 * one of everything. Include after cmocka.h's own needs; it brings cmocka.h.
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>

#include "store.h"

#define FIXTURE_START_NS 5000000000ll

/* cmocka setup and teardown: a new directory as the working directory, removed with all in it. */
int fixture_enter(void **state);
int fixture_leave(void **state);

/* Creates path with default options, and publishes it; asserts success. */
struct store *fixture_create(const char *path);
/* Opens; asserts success. */
struct store *fixture_open(const char *path);
/* Writes a finished capture with a stall of 300 ms, its victims, tasks, blocks. */
void fixture_small_capture(const char *path);

/* The bytes of a file, to be freed. */
uint8_t *fixture_read(const char *path, size_t *ret_size);
void fixture_write(const char *path, const void *data, size_t size);
/* Changes a capture, or makes it, by SQL. */
void fixture_change(const char *path, const char *sql);
/* How many entries the working directory has. */
int fixture_entries(void);
/* Random numbers of a seed that is printed. */
uint64_t fixture_seed(void);
uint64_t fixture_random(uint64_t *state);

#endif
