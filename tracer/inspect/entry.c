/* SPDX-License-Identifier: MIT */
/* Format: Linux Standard Base, "Exception Frames": .eh_frame_hdr. */
#include "inspect/entry.h"

#include <string.h>

#define VERSION	       1
#define PCREL_SDATA4   0x1b /* the pointer to .eh_frame */
#define UDATA4	       0x03 /* the count */
#define DATAREL_SDATA4 0x3b
#define HEADER_BYTES   12
#define PAIR_BYTES     8

void entry_table_parse(const void *bytes, size_t size, uint64_t address, struct entry_table *ret)
{
	const unsigned char *p = bytes;
	uint32_t count;

	*ret = (struct entry_table){0};
	if (!p || size < HEADER_BYTES)
		return;
	if (p[0] != VERSION || p[1] != PCREL_SDATA4 || p[2] != UDATA4 || p[3] != DATAREL_SDATA4)
		return;
	memcpy(&count, p + 8, sizeof(count));
	if (count > (size - HEADER_BYTES) / PAIR_BYTES)
		return;
	*ret = (struct entry_table){.pairs = p + HEADER_BYTES, .count = count, .address = address};
}

void entry_table_read(Elf_Scn *scn, const GElf_Shdr *sh, struct entry_table *ret)
{
	Elf_Data *data = elf_getdata(scn, NULL);

	entry_table_parse(data ? data->d_buf : NULL, data ? data->d_size : 0, sh->sh_addr, ret);
}

static uint64_t begin_at(const struct entry_table *t, size_t i)
{
	int32_t relative;

	memcpy(&relative, t->pairs + i * PAIR_BYTES, sizeof(relative));
	return t->address + (uint64_t)(int64_t)relative;
}

uint64_t entry_find(const struct entry_table *t, uint64_t address, uint64_t bias)
{
	size_t low = 0, high = t->count;

	while (low < high) { /* the first that begins above */
		size_t mid = low + (high - low) / 2;
		if (begin_at(t, mid) <= address - bias)
			low = mid + 1;
		else
			high = mid;
	}
	uint64_t begin = low ? begin_at(t, low - 1) : 0;
	return begin && begin <= address - bias && begin + bias <= address ? begin + bias : 0;
}
