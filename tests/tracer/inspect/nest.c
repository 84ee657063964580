/* SPDX-License-Identifier: MIT */
/* A target: calls its functions in the order of the letters in argv[1], then says so on stdout and
 * pauses. "inspect_nest abca": main -> nest_a -> nest_b -> nest_c -> nest_a -> pause. With argv[2],
 * maps that file executable first. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int nest_a(const char *path), nest_b(const char *path), nest_c(const char *path);

static __attribute__((noinline)) int descend(const char *path)
{
	int r = 0;

	switch (*path) {
	case 'a':
		r = nest_a(path + 1);
		break;
	case 'b':
		r = nest_b(path + 1);
		break;
	case 'c':
		r = nest_c(path + 1);
		break;
	default:
		if (write(1, "r", 1) != 1)
			return 1;
		pause();
	}
	__asm__ volatile("" ::: "memory"); /* no tail call */
	return r + 1;
}

/* Each with a frame of another size, so that no constant fits all. */
#define NEST(name, size)                                                                           \
	__attribute__((noinline, noclone)) int name(const char *path)                              \
	{                                                                                          \
		volatile char room[size];                                                          \
		room[0] = *path;                                                                   \
		int r = descend(path);                                                             \
		return r + room[0];                                                                \
	}
NEST(nest_a, 24)
NEST(nest_b, 200)
NEST(nest_c, 1032)

int main(int argc, char **argv)
{
	struct stat st;

	if (argc < 2)
		return 2;
	if (argc > 2) {
		int fd = open(argv[2], O_RDONLY);
		if (fd < 0 || fstat(fd, &st) < 0 ||
		    mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
			    MAP_FAILED)
			return 3;
		close(fd);
	}
	return descend(argv[1]);
}
