/* SPDX-License-Identifier: MIT */
/* What an indexer says, if the file that it read has taken it over: its message, then the index. */
#include "target.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	size_t message = fuzz_take(&in, 2);
	struct message_index m;

	if (message > in.left)
		return 0;
	uint8_t *packet = malloc(message + 1); /* exactly as long: a read behind it is seen */
	FUZZ_MUST(packet);
	memcpy(packet, in.at, message);
	if (index_message_read(packet, message, &m) == 0) {
		int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		FUZZ_MUST(fd >= 0 && write(fd, in.at + message, in.left - message) ==
					     (ssize_t)(in.left - message));
		struct space *s = target_new(16384, 4096);
		space_take_index(s, &m, packet, fd);
		target_look(s);
		space_free(s);
	}
	free(packet);
	return 0;
}
