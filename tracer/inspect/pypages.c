/* SPDX-License-Identifier: MIT */
/* A direct-mapped cache of pages. */
#include "inspect/pypages.h"

#include <string.h>

static const uint8_t *get_page(struct pypages *p, uint64_t number)
{
	size_t at = number % PYPAGES_COUNT;

	if (p->page[at] == number + 1)
		return p->bytes[at];
	p->page[at] = 0;
	if (!p->read(p->arg, number * PYPAGES_BYTES, p->bytes[at], PYPAGES_BYTES))
		return NULL;
	p->page[at] = number + 1;
	return p->bytes[at];
}

static bool read_paged(void *arg, uint64_t address, void *buf, size_t size)
{
	struct pypages *p = arg;
	uint8_t *to = buf;
	uint64_t number = address / PYPAGES_BYTES;

	/* nearly always */
	if (p->page[number % PYPAGES_COUNT] == number + 1 &&
	    address % PYPAGES_BYTES + size <= PYPAGES_BYTES) {
		memcpy(to, p->bytes[number % PYPAGES_COUNT] + address % PYPAGES_BYTES, size);
		return true;
	}
	if (address + size < address)
		return false;
	while (size) {
		uint64_t from = address % PYPAGES_BYTES;
		size_t n = size < PYPAGES_BYTES - from ? size : PYPAGES_BYTES - from;
		const uint8_t *page = get_page(p, address / PYPAGES_BYTES);
		if (page)
			memcpy(to, page + from, n);
		else if (!p->read(p->arg, address, to, n)) /* no whole page there */
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
	memset(p->page, 0, sizeof(p->page));
}
