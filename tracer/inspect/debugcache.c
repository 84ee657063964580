/* SPDX-License-Identifier: MIT */
/* Whoever may write the folder may put anything there: nothing leads out of it, and what a file
 * says of itself is for an indexer to find out. */
#include "inspect/debugcache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inspect/broker.h"
#include "inspect/message.h"
#include "inspect/sandbox.h"
#include "inspect/sidefile.h"

#define OF_ROOT "/var/cache/loopscope/debuginfod"

static int path_of(char ret[PATH_MAX])
{
	const char *own = getenv("DEBUGINFOD_CACHE_PATH"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	int n;

	if (own && own[0])
		n = snprintf(ret, PATH_MAX, "%s", own);
	else if (geteuid() == 0)
		n = snprintf(ret, PATH_MAX, "%s", OF_ROOT);
	else if (xdg && xdg[0])
		n = snprintf(ret, PATH_MAX, "%s/debuginfod_client", xdg);
	else if (home && home[0])
		n = snprintf(ret, PATH_MAX, "%s/.cache/debuginfod_client", home);
	else
		return -ENOENT;
	if (ret[0] != '/')
		return -ENOENT;
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make_folder(const char *path, mode_t mode)
{
	return mkdir(path, mode) < 0 ? -errno : 0;
}

/* With the one that it lies in, but no more. One that is there is left as it is. */
static int make_folders(const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];
	int r = make_folder(path, 0700);

	if (r == -ENOENT) {
		snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
		r = make_folder(above, 0755);
		if (r == 0 || r == -EEXIST)
			r = make_folder(path, 0700);
	}
	if (r == -EEXIST)
		return 0;
	if (r == 0 && geteuid() == 0 && lchown(path, SANDBOX_NOBODY, SANDBOX_NOBODY) < 0 &&
	    errno != EINVAL)
		return -errno;
	return r;
}

static int open_folder(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int debugcache_make(char ret_path[PATH_MAX])
{
	int r = path_of(ret_path);

	if (r == 0)
		r = make_folders(ret_path);
	return r < 0 ? r : open_folder(ret_path);
}

int debugcache_open(const char *build_id, size_t size)
{
	char path[PATH_MAX], name[MESSAGE_BUILD_ID_MAX + sizeof("/debuginfo")];
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	struct stat owner, st;
	int r = path_of(path);

	if (r < 0)
		return r;
	if (size >= MESSAGE_BUILD_ID_MAX || !message_is_build_id(build_id, size))
		return -EINVAL;
	snprintf(name, sizeof(name), "%.*s/debuginfo", (int)size, build_id);
	lsc_autoclose int folder = open_folder(path);
	if (folder < 0)
		return folder;
	lsc_autoclose int fd = (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
	if (fd < 0 || fstat(folder, &owner) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (st.st_uid != owner.st_uid || st.st_nlink != 1))
		return -EPERM;
	if (S_ISREG(st.st_mode) && !st.st_size) /* how libdebuginfod remembers that there is none */
		return -ENOENT;
	return broker_reopen(fd, SIDEFILE_DEBUG_MAX);
}
