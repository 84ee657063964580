/* SPDX-License-Identifier: MIT */
/* libdebuginfod is loaded when it is needed: whoever has no server needs none. */
#include "inspect/fetcher.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "inspect/debugcache.h"
#include "inspect/message.h"
#include "inspect/sandbox.h"
#include "inspect/sidefile.h"

#define LIBRARY	  "libdebuginfod.so.1"
#define ROOM_MIN  (2 * SIDEFILE_DEBUG_MAX) /* on the cache's disk: it is not filled up for names */
#define MAXTIME_S 120 /* one that sends slowly; libdebuginfod's own limit is for silence, 90 s */

struct debuginfod_client;

/* As elfutils/debuginfod.h has them. */
typedef struct debuginfod_client *begin_fn(void);
typedef int find_fn(struct debuginfod_client *client, const unsigned char *build_id,
		    int build_id_size, char **ret_path);

struct fetcher {
	int collector;
	int folder;    /* owns; of the cache */
	find_fn *find; /* NULL: there is no library */
	struct debuginfod_client *client;
};

static void *load(void)
{
	return dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
}

bool fetcher_has_server(void)
{
	const char *urls = getenv("DEBUGINFOD_URLS");

	return urls && urls[strspn(urls, " ")];
}

int fetcher_check(void)
{
	if (!fetcher_has_server())
		return -ENOENT;
	void *library = load();
	if (!library)
		return -ELIBACC;
	dlclose(library);
	return 0;
}

uint64_t fetcher_limit_ns(void)
{
	const char *set = getenv("DEBUGINFOD_MAXTIME");
	long seconds = set ? strtol(set, NULL, 10) : 0;

	return (uint64_t)(seconds > 0 && seconds < INT_MAX ? seconds : MAXTIME_S) * LSC_NS_PER_S;
}

/* What the user has not set, and what would make it write where nobody reads. */
static int set_environment(const char *folder)
{
	char size[32], time[32];

	snprintf(size, sizeof(size), "%lld", SIDEFILE_DEBUG_MAX);
	snprintf(time, sizeof(time), "%d", MAXTIME_S);
	if (setenv("DEBUGINFOD_CACHE_PATH", folder, 1) < 0 ||
	    setenv("DEBUGINFOD_MAXSIZE", size, 0) < 0 || setenv("DEBUGINFOD_MAXTIME", time, 0) < 0)
		return -errno;
	unsetenv("DEBUGINFOD_PROGRESS");
	unsetenv("DEBUGINFOD_VERBOSE");
	return 0;
}

/* All that needs more than the sandbox has. */
static int prepare(struct fetcher *f, pid_t parent)
{
	char path[PATH_MAX];
	begin_fn *begin = NULL;
	void *library = load();

	if (library) {
		begin = (begin_fn *)(uintptr_t)dlsym(library, "debuginfod_begin");
		f->find = (find_fn *)(uintptr_t)dlsym(library, "debuginfod_find_debuginfo");
	}
	if (!begin)
		f->find = NULL;
	umask(022);
	f->folder = debugcache_make(path);
	if (f->folder < 0)
		return -EACCES;
	signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error like others */
	int r = set_environment(path);
	if (r == 0)
		r = sandbox_fetcher(parent, f->folder);
	if (r == 0 && f->find)
		f->client = begin();
	return r;
}

static bool has_room(const struct fetcher *f)
{
	struct statvfs disk;

	return fstatvfs(f->folder, &disk) == 0 && disk.f_bavail * disk.f_frsize >= ROOM_MIN;
}

/* 0 when the cache has it; -EACCES when that cannot be used, -ENOSPC when its disk is nearly full.
 */
static int fetch(struct fetcher *f, const char *build_id)
{
	if (!f->find)
		return -ELIBACC;
	if (!f->client)
		return -ENOMEM;
	lsc_autoclose int had = debugcache_open(build_id, strlen(build_id));
	if (had < 0 && !has_room(f))
		return -ENOSPC;
	/* without a size it is text */
	lsc_autoclose int fd = f->find(f->client, (const unsigned char *)build_id, 0, NULL);
	if (fd < 0)
		return fd;
	lsc_autoclose int found = debugcache_open(build_id, strlen(build_id));
	return found >= 0 ? 0 : found == -EFBIG ? found : -EACCES;
}

static int serve(struct fetcher *f, int cannot)
{
	struct message_fetch m;
	ssize_t n = message_recv(f->collector, &m, sizeof(m), NULL, 0, 0);

	if (n != sizeof(m) || m.kind != MESSAGE_FETCH || m.build_id[sizeof(m.build_id) - 1])
		return -EPIPE;
	struct message_status status = {.kind = MESSAGE_FETCHED,
					.value = cannot < 0 ? cannot : fetch(f, m.build_id)};
	return message_send(f->collector, &status, sizeof(status), NULL, 0, NULL, 0, 0);
}

void fetcher_run(pid_t parent, int collector)
{
	struct message_status hello = {.kind = MESSAGE_HELLO};
	struct fetcher f = {.collector = collector, .folder = -1};
	int cannot = prepare(&f, parent);

	if (cannot < 0 && sandbox_worker(parent) < 0)
		return;
	if (message_send(collector, &hello, sizeof(hello), NULL, 0, NULL, 0, 0) < 0)
		return;
	while (serve(&f, cannot) == 0)
		;
}
