/* SPDX-License-Identifier: MIT */
/* A hash table of blocks that are filled one after the other; when there is no room, all go. */
#include "inspect/pypages.h"

#include <string.h>

#define PAGES	 (PYPAGES_BLOCK / PYPAGES_PAGE)
#define ALL	 ((1u << PAGES) - 1)
#define HASH_BIT 53 /* of 64, for PYPAGES_SLOTS */

/* At the end of a mapping some pages are there. */
static uint8_t read_block(const struct pypages *p, uint64_t number, uint8_t *bytes)
{
	uint64_t address = number * PYPAGES_BLOCK;
	uint8_t valid = 0;

	if (p->read(p->arg, address, bytes, PYPAGES_BLOCK))
		return ALL;
	for (unsigned int i = 0; i < PAGES; i++)
		if (p->read(p->arg, address + i * PYPAGES_PAGE, bytes + i * PYPAGES_PAGE,
			    PYPAGES_PAGE))
			valid |= (uint8_t)(1u << i);
	return valid;
}

static size_t get_block(struct pypages *p, uint64_t number)
{
	size_t at = number * 0x9e3779b97f4a7c15ull >> HASH_BIT;

	for (; p->slots[at]; at = (at + 1) % PYPAGES_SLOTS)
		if (p->blocks[p->slots[at] - 1].number == number)
			return p->slots[at] - 1;
	if (p->n == PYPAGES_COUNT) {
		pypages_forget(p);
		p->lost = true;
		at = number * 0x9e3779b97f4a7c15ull >> HASH_BIT;
	}
	size_t i = p->n++;
	p->slots[at] = (uint16_t)(i + 1);
	p->blocks[i].number = number;
	p->blocks[i].valid = read_block(p, number, p->bytes[i]);
	return i;
}

/* What lies within one page. */
static bool read_page(struct pypages *p, uint64_t address, void *buf, size_t size)
{
	size_t i = get_block(p, address / PYPAGES_BLOCK), from = address % PYPAGES_BLOCK;

	if (p->blocks[i].valid >> from / PYPAGES_PAGE & 1) {
		memcpy(buf, p->bytes[i] + from, size);
		return true;
	}
	p->lost = true;
	return p->read(p->arg, address, buf, size);
}

static bool read_paged(void *arg, uint64_t address, void *buf, size_t size)
{
	struct pypages *p = arg;
	uint8_t *to = buf;

	if (address + size < address)
		return false;
	while (size) {
		size_t left = PYPAGES_PAGE - address % PYPAGES_PAGE, n = size < left ? size : left;
		if (!read_page(p, address, to, n))
			return false;
		to += n;
		address += n;
		size -= n;
	}
	return true;
}

void pypages_begin(struct pypages *p, struct cpython *py)
{
	p->read = py->read;
	p->arg = py->arg;
	py->read = read_paged;
	py->arg = p;
	pypages_forget(p);
}

void pypages_end(struct pypages *p, struct cpython *py)
{
	py->read = p->read;
	py->arg = p->arg;
}

void pypages_forget(struct pypages *p)
{
	memset(p->slots, 0, sizeof(p->slots));
	p->n = 0;
	p->lost = false;
}

bool pypages_verify(struct pypages *p)
{
	static uint8_t again[PYPAGES_BLOCK]; /* the worker has one thread */

	for (size_t i = 0; i < p->n && !p->lost; i++) {
		uint8_t valid = read_block(p, p->blocks[i].number, again);
		if (valid != p->blocks[i].valid)
			return false;
		for (unsigned int k = 0; k < PAGES; k++)
			if (valid >> k & 1 &&
			    memcmp(again + k * PYPAGES_PAGE, p->bytes[i] + k * PYPAGES_PAGE,
				   PYPAGES_PAGE) != 0)
				return false;
	}
	return !p->lost;
}
