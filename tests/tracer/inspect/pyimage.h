/* SPDX-License-Identifier: MIT */
/* A process with a CPython in little: _PyRuntime, a heap, one thread in four functions, one task.
 */
#ifndef LSC_TESTS_PYIMAGE_H
#define LSC_TESTS_PYIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inspect/pystack.h"
#include "inspect/pyview.h"

#define RUNTIME	 0x700000000000ull
#define HEAP	 0x600000000000ull
#define HEAP_END (HEAP + 0x10000)
#define TID	 4242
#define FRAMES	 4 /* of Python, in two runs of the evaluator */
#define READS	 9000

/* Where things lie, by the headers of each version. */
struct version {
	unsigned int minor;
	uint64_t size;
	uint32_t main, threads, modules, id, hop;
	uint32_t cframe, frame; /* cframe 0: the state points at the frame itself */
	uint32_t code, instr, previous, owner, entry;
	uint32_t first, file, name, table, traceable, bytes;
	uint32_t gen_frame, coro;
	uint32_t ascii, wide;
};

#define VERSIONS 8
extern const struct version versions[VERSIONS]; /* 3.8 and later */

extern struct image {
	const struct version *v;
	uint8_t runtime[460000], heap[HEAP_END - HEAP];
	uint64_t used; /* of the heap */
	uint64_t interp, state, tasks;
	uint64_t task;	  /* the one made last */
	uint64_t shim[2]; /* since 3.12: the runs' own frames */
	uint64_t asyncio; /* since 3.14: what _asyncio tells of itself */
	uint64_t frame[FRAMES], code[FRAMES], name[FRAMES], table[FRAMES];
	uint64_t type[8], task_type;
	unsigned int reads;
} image;

enum { CODE, STR, BYTES, INT, DICT, FRAME, CORO, MODULE };

uint8_t *bytes_at(uint64_t address, size_t size);
bool read_image(void *arg, uint64_t address, void *buf, size_t size);
void put(uint64_t address, uint64_t value);
void put_int(uint64_t address, int32_t value);
uint64_t place(size_t size);
uint64_t make_object(uint64_t type, size_t size);
uint64_t make_ascii(const char *text);
uint64_t make_type(const char *name, uint64_t base);
uint64_t make_bytes(const void *data, size_t n);
uint64_t instr_of(uint64_t code);
struct pair {
	uint64_t key, value;
};
/* At most five pairs; texts as keys have their own kind since 3.11. */
uint64_t make_dict(const struct pair *pairs, size_t n, bool text);
/* A linked list, of nodes in this order. */
void make_list(uint64_t head, const uint64_t *nodes, size_t n);
void make_task(uint64_t coro, uint64_t name);
/* The module _asyncio, which has these. */
void make_module(const struct pair *pairs, size_t n);
struct pyview build(const struct version *v);
/* Reads the frames of a thread, or those of seen, and puts them into the answer. */
void merge_python(struct pyview *v, uint32_t tid, const struct inspector_chain *seen,
		  struct answer *a);

#endif
