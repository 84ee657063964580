/* SPDX-License-Identifier: MIT */
/*
 * The places are those of gdb and perf. A worker that was taken over can ask for anything here, and
 * a name may be a link to anything: it gets debug files by their build id, others whose name ends
 * in .debug or lies in .dwz, of all these ELF files alone, and the one map.
 */
#include "inspect/sidefile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/broker.h"
#include "inspect/debugcache.h"

/* As the target numbers and owns itself. */
struct owner {
	int ns_pid;
	uid_t euid;
};

static int find_in(int root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int path_of_id(const char *id, size_t size, char *buf, size_t room)
{
	if (!message_is_build_id(id, size))
		return -EINVAL;
	int n = snprintf(buf, room, SIDEFILE_DEBUG_ROOT "/.build-id/%.2s/%.*s.debug", id,
			 (int)size - 2, id + 2);
	return n < (int)room ? 0 : -ENAMETOOLONG;
}

/* text: the path of a file and, behind a NUL, the name that its link gives. */
static int path_of_link(enum message_place place, const char *text, size_t size, char *buf,
			size_t room)
{
	static const char *const forms[] = {
		[MESSAGE_PLACE_LINK] = "%.*s/%.*s",
		[MESSAGE_PLACE_LINK_BELOW] = "%.*s/.debug/%.*s",
		[MESSAGE_PLACE_LINK_GLOBAL] = SIDEFILE_DEBUG_ROOT "%.*s/%.*s",
	};
	static const char suffix[] = ".debug";
	const char *nul = memchr(text, '\0', size);
	const char *slash = nul ? strrchr(text, '/') : NULL;

	if (!slash || text[0] != '/')
		return -EINVAL;
	const char *name = nul + 1;
	size_t len = size - (size_t)(name - text), end = sizeof(suffix) - 1;
	if (len < end || memcmp(name + len - end, suffix, end) != 0 || memchr(name, '/', len) ||
	    memchr(name, '\0', len))
		return -EINVAL;
	int n = snprintf(buf, room, forms[place], (int)(slash - text), text, (int)len, name);
	return n < (int)room ? 0 : -ENAMETOOLONG;
}

static bool ends_in(const char *text, size_t size, const char *end)
{
	size_t n = strlen(end);

	return size >= n && memcmp(text + size - n, end, n) == 0;
}

/* ".dwz/name", perhaps with more before it. */
static bool is_in_dwz(const char *name, size_t len)
{
	const char *slash = memrchr(name, '/', len);
	size_t dir = slash ? (size_t)(slash - name) : 0;

	return ends_in(name, dir, ".dwz") && (dir == 4 || name[dir - 5] == '/');
}

/* text: a directory and, behind a NUL, a name, which may have one of its own. Those that `dwz`
 * makes lie in a directory of theirs, or are called like other debug files. */
static int path_of_alt(const char *text, size_t size, char *buf, size_t room)
{
	const char *nul = memchr(text, '\0', size);
	size_t len = nul ? size - (size_t)(nul + 1 - text) : 0;
	const char *name = nul ? nul + 1 : text;

	if (!len || memchr(name, '\0', len) ||
	    (!ends_in(name, len, ".debug") && !is_in_dwz(name, len)))
		return -EINVAL;
	int n = name[0] == '/' ? snprintf(buf, room, "%.*s", (int)len, name)
			       : snprintf(buf, room, "%s/%.*s", text, (int)len, name);
	return n < (int)room ? 0 : -ENAMETOOLONG;
}

static int read_owner(int dir, struct owner *ret)
{
	char buf[4096];
	lsc_autoclose int fd = openat(dir, "status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	/* a newline in the process's own name is written as \n */
	const char *uid = strstr(buf, "\nUid:"), *pids = strstr(buf, "\nNSpid:");
	unsigned int real, effective;
	if (!uid || sscanf(uid, " Uid: %u %u", &real, &effective) != 2 || !pids)
		return -ESRCH;
	const char *end = strchr(pids + 1, '\n'), *last = pids;
	for (const char *p = pids; p && (!end || p < end); p = strchr(p + 1, '\t'))
		last = p;
	*ret = (struct owner){.ns_pid = atoi(last + 1), .euid = effective};
	return ret->ns_pid > 0 ? 0 : -ESRCH;
}

static int open_map(int dir, int root)
{
	struct owner owner;
	struct stat st;
	char path[64];
	int r = read_owner(dir, &owner);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", owner.ns_pid);
	lsc_autoclose int fd = find_in(root, path, O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (st.st_uid != owner.euid || st.st_nlink != 1))
		return -EPERM;
	return broker_reopen(fd, SIDEFILE_MAP_MAX);
}

/* How many bytes of path lie outside: in a chroot of our own mount namespace maps has the whole of
 * it. */
static size_t outside_root(int dir, const char *path, size_t size)
{
	char root[PATH_MAX];
	ssize_t n = readlinkat(dir, "root", root, sizeof(root));

	if (n <= 1 || (size_t)n >= size || memcmp(path, root, (size_t)n) != 0 || path[n] != '/')
		return 0;
	return (size_t)n;
}

/* Takes fd. Gives it, or -errno. */
static int elf_only(int fd)
{
	char magic[SELFMAG];

	if (fd < 0 || (pread(fd, magic, SELFMAG, 0) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG)))
		return fd;
	close(fd);
	return -ENOEXEC;
}

static int open_debug(int dir, int root, enum message_place place, const char *text, size_t size)
{
	char path[PATH_MAX];
	int r;

	if (place == MESSAGE_PLACE_ID || place == MESSAGE_PLACE_ID_OURS) {
		r = path_of_id(text, size, path, sizeof(path));
	} else {
		size_t skip = place == MESSAGE_PLACE_ALT_OURS ? 0 : outside_root(dir, text, size);
		r = (place >= MESSAGE_PLACE_ALT)
			    ? path_of_alt(text + skip, size - skip, path, sizeof(path))
			    : path_of_link(place, text + skip, size - skip, path, sizeof(path));
	}
	if (r < 0)
		return r;
	lsc_autoclose int fd = find_in(root, path, 0);
	return fd < 0 ? fd : elf_only(broker_reopen(fd, SIDEFILE_DEBUG_MAX));
}

int sidefile_open(const struct message_sidefile *m, const char *text, size_t size)
{
	char name[64];

	if (m->place >= MESSAGE_PLACES)
		return -EINVAL;
	if (m->place == MESSAGE_PLACE_CACHE)
		return debugcache_open(text, size);
	snprintf(name, sizeof(name), "/proc/%d", m->pid);
	lsc_autoclose int dir = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	bool ours = m->place == MESSAGE_PLACE_ID_OURS || m->place == MESSAGE_PLACE_ALT_OURS;
	lsc_autoclose int root = ours ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
				      : openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	return m->place == MESSAGE_PLACE_MAP ? open_map(dir, root)
					     : open_debug(dir, root, m->place, text, size);
}

int sidefile_ask(int broker, enum message_place place, int pid, const char *text, size_t size)
{
	struct message_sidefile m = {.kind = MESSAGE_SIDEFILE, .place = place, .pid = pid};
	struct message_status status;
	int fd;
	int r = broker < 0 ? -ENOENT : message_send(broker, &m, sizeof(m), text, size, NULL, 0, 0);

	if (r < 0)
		return r;
	ssize_t n = message_recv(broker, &status, sizeof(status), &fd, 1, 0);
	if (n == sizeof(status) && status.kind == MESSAGE_SIDEFILE && status.value == 0 && fd >= 0)
		return fd;
	lsc_closep(&fd);
	return n == sizeof(status) && status.kind == MESSAGE_SIDEFILE && status.value < 0
		       ? status.value
		       : -EBADMSG;
}
