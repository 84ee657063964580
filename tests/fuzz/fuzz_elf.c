/* SPDX-License-Identifier: MIT */
/*
 * A file that a target maps, on its way through an indexer and the worker: its build id, its
 * symbols, its unwind information, its lines. What libelf and libdw do with it happens, too; they
 * have targets of their own elsewhere.
 */
#include "target.h"

#include <sys/mman.h>

#include "inspect/elffile.h"
#include "inspect/indexwriter.h"
#include "inspect/srcline.h"

static int make_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	FUZZ_MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct message_file what = {.flags = MESSAGE_FILE_PLAIN, .pid = 1};
	const struct message_stamp stamp = {.size = size};
	struct fuzz_input tail = {data + (size ? size - 1 : 0), size ? 1 : 0};
	uint64_t offset = (fuzz_take(&tail, 1) + 1) % 4 * 4096;
	struct srcline_call calls[INDEX_CALLS_MAX];
	struct message_index m = {.inode = 1};
	struct elffile *f;

	own_elf(); /* which readies libelf */
	if (elffile_open(make_file(data, size), -1, &what, "/x", &stamp, &f) < 0)
		return 0;
	int room = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	FUZZ_MUST(room >= 0);
	int r = indexwriter_run(f, room, &m.head);
	FUZZ_MUST(r < 0 || (index_is_sealed(room) && index_check(room, &m.head) >= 0));
	for (size_t i = 0; i < TARGET_ADDRESSES && f->has_lines; i++) {
		size_t n = srcline_find(f, size * i / TARGET_ADDRESSES, calls);
		FUZZ_MUST(n >= 1 && n <= INDEX_CALLS_MAX);
	}
	elffile_close(f);
	if (r < 0) {
		close(room);
		return 0;
	}
	struct space *s = target_new(size, offset);
	space_take_index(s, &m, NULL, room);
	target_look(s);
	space_free(s);
	return 0;
}
