/* SPDX-License-Identifier: MIT */
/* .eh_frame_hdr, the table of where functions begin: its bytes alone. */
#include "fuzz.h"

#include "inspect/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	uint64_t lies = fuzz_take(&in, 8), address = fuzz_take(&in, 8);
	struct entry_table t;

	entry_table_parse(in.at, in.left, lies, &t);
	FUZZ_MUST(entry_find(&t, address, 0) <= address);
	FUZZ_MUST(entry_find(&t, address, lies) <= address);
	FUZZ_MUST(entry_find(&t, lies + address, lies) <= lies + address);
	return 0;
}
