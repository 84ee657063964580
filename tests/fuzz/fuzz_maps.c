/* SPDX-License-Identifier: MIT */
/* The lines of /proc/PID/maps: as one file, and the first of them alone. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/maps.h"

static int check(const struct maps_entry *e, void *arg)
{
	FUZZ_MUST(e->start < e->end);
	FUZZ_MUST(strnlen(e->path, sizeof(e->path)) < sizeof(e->path));
	++*(size_t *)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct maps_entry entry;
	size_t lines = 0, n = 0;
	lsc_autofree char *line = strndup((const char *)data, size);
	lsc_autoclose int fd = memfd_create("maps", MFD_CLOEXEC);

	FUZZ_MUST(line && fd >= 0);
	if (maps_parse(line, &entry) == 0)
		check(&entry, &n);
	FUZZ_MUST(pwrite(fd, data, size, 0) == (ssize_t)size);
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	n = 0;
	int r = maps_each(fd, check, &n);
	FUZZ_MUST(r <= 0 && n <= lines);
	return 0;
}
