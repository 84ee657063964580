/* SPDX-License-Identifier: MIT */
/*
 * A program that claims to be a CPython, by the name of its file and by its symbols, and holds
 * garbage: fake_python ZEROS|RANDOM|SELF|ROUND SEED. SELF: each word points to itself; ROUND: each
 * points to another one there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((aligned(64))) char _PyRuntime[FAKE_SIZE];
const uint32_t Py_Version = FAKE_VERSION;

static uint64_t word(const char *kind, size_t i)
{
	if (!strcmp(kind, "RANDOM"))
		return (uint64_t)random() << 33 ^ (uint64_t)random();
	if (!strcmp(kind, "SELF"))
		return (uint64_t)(uintptr_t)&_PyRuntime[i];
	if (!strcmp(kind, "ROUND"))
		return (uint64_t)(uintptr_t)&_PyRuntime[(size_t)random() % (FAKE_SIZE / 8) * 8];
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	srandom((unsigned int)strtoul(argv[2], NULL, 10));
	for (size_t i = 0; i + 8 <= sizeof(_PyRuntime); i += 8) {
		uint64_t w = word(argv[1], i);
		memcpy(_PyRuntime + i, &w, sizeof(w));
	}
	if (FAKE_VERSION >= 0x030d0000) {
		const uint64_t version = FAKE_VERSION;
		memcpy(_PyRuntime, "xdebugpy", 8);
		memcpy(_PyRuntime + 8, &version, sizeof(version));
	}
	if (write(1, "r", 1) == 1)
		pause();
	return 0;
}
