/* SPDX-License-Identifier: MIT */
/* A perf map that arrives in two pieces; addresses to look for come first. */
#include "fuzz.h"

#include "inspect/perfmap.h"

#define ADDRESSES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint64_t addresses[ADDRESSES], start;
	struct perfmap *p = perfmap_new(-1);

	FUZZ_MUST(p);
	for (size_t i = 0; i < ADDRESSES; i++)
		addresses[i] = fuzz_take(&in, i < 2 ? 2 : 8);
	size_t cut = in.left ? fuzz_take(&in, 2) % (in.left + 1) : 0;
	const char *text = (const char *)in.at;
	ssize_t taken = perfmap_add(p, text, cut);
	FUZZ_MUST(taken >= 0 && taken <= (ssize_t)cut);
	perfmap_find(p, addresses[0], &start);
	FUZZ_MUST(perfmap_add(p, text + taken, in.left - (size_t)taken) >= 0);
	for (size_t i = 0; i < ADDRESSES; i++) {
		const char *name = perfmap_find(p, addresses[i], &start);
		FUZZ_MUST(!name || (start <= addresses[i] && strlen(name) < MESSAGE_TEXT_MAX));
	}
	perfmap_free(p);
	return 0;
}
