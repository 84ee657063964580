/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share: the input as a stream of fields, and what must hold. */
#ifndef LSC_TESTS_FUZZ_H
#define LSC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold whatever the build. */
#define FUZZ_MUST(condition)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* The next n (at most 8) bytes as a number; those that are missing are 0. */
static inline uint64_t fuzz_take(struct fuzz_input *in, size_t n)
{
	uint64_t value = 0;
	size_t have = n < in->left ? n : in->left;

	memcpy(&value, in->at, have);
	in->at += have;
	in->left -= have;
	return value;
}

#endif
