/* SPDX-License-Identifier: MIT */
/* From options to the "attach" message: defaults, lists, absolute paths, the name of a new capture.
 */
#include "capture_request.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "control.h"

#define COMM_MAX 15 /* TASK_COMM_LEN without the NUL */

void capture_options_init(struct capture_options *o)
{
	*o = (struct capture_options){
		.stall_ns = 10 * LSC_NS_PER_MS,
		.block_ns = 1 * LSC_NS_PER_MS,
		.ready_wait_ns = 5 * LSC_NS_PER_MS,
		.max_overhead = 0.01,
		.max_bytes = 1ull << 30,
	};
}

/* ---- the file's name ---- */

int capture_name(const char *comm, int pid, char *ret_name, size_t size)
{
	char clean[COMM_MAX + 1], of[16] = "", name[64];
	size_t n = 0;

	for (; *comm && n < COMM_MAX; comm++) {
		unsigned char c = (unsigned char)*comm;
		bool plain = c < 0x80 &&
			     (isalnum(c) || c == '_' || c == '+' || (n && (c == '-' || c == '.')));
		clean[n++] = plain ? (char)c : '_';
	}
	clean[n] = 0;
	if (pid)
		snprintf(of, sizeof(of), "-%d", pid);
	for (int i = 0; i < 10000; i++) {
		char number[16] = "";
		struct stat st;

		if (i)
			snprintf(number, sizeof(number), ".%d", i);
		snprintf(name, sizeof(name), "%s%s%s.lsc", n ? clean : "capture", of, number);
		if (lstat(name, &st) == 0)
			continue;
		if (strlen(name) >= size)
			return -ENAMETOOLONG;
		strcpy(ret_name, name);
		return 0;
	}
	return -EEXIST;
}

/* The comm of pid, or "process": whether it exists is for loopscoped to say. */
static void read_comm(int pid, char *buf, size_t size)
{
	char path[32];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	lsc_autofclose FILE *f = fopen(path, "re");
	if (f)
		n = fread(buf, 1, size - 1, f);
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	if (!n)
		snprintf(buf, size, "process");
}

/* The lowest pid whose comm is name, or 0. */
static int find_comm(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int found = 0;

	while (proc && (d = readdir(proc))) {
		char comm[COMM_MAX + 2];
		int pid = atoi(d->d_name); /* 0 for names that are not pids */

		if (pid <= 0 || (found && pid > found))
			continue;
		read_comm(pid, comm, sizeof(comm));
		if (!strcmp(comm, name))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

/* The first of them that is there: a capture is called by it. 0: none is. */
static int first_alive(const struct capture_ids *pids)
{
	for (size_t i = 0; i < pids->n; i++)
		if (!kill(pids->id[i], 0) || errno == EPERM)
			return pids->id[i];
	return 0;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static int choose_output(const struct capture_options *o, int command_pid, char *buf, size_t size)
{
	char comm[COMM_MAX + 2];

	if (o->command)
		return capture_name(last_part(o->command[0]), command_pid, buf, size);
	int pid = first_alive(&o->pids);
	if (!pid && o->pids.n && !o->nnames && !o->cgroup)
		pid = o->pids.id[0];
	if (pid) {
		read_comm(pid, comm, sizeof(comm));
		return capture_name(comm, pid, buf, size);
	}
	if (o->nnames)
		return capture_name(o->names[0], find_comm(o->names[0]), buf, size);
	return capture_name(last_part(o->cgroup), 0, buf, size);
}

/* loopscoped has a working directory of its own. */
static int absolute(const char *path, char *ret, size_t size)
{
	char cwd[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	int n = path[0] == '/' ? snprintf(ret, size, "%s", path)
			       : snprintf(ret, size, "%s/%s", cwd[1] ? cwd : "", path);
	return (size_t)n < size ? 0 : -ENAMETOOLONG;
}

void request_shorten(const char *path, char *buf, size_t size)
{
	char cwd[PATH_MAX];
	size_t n = getcwd(cwd, sizeof(cwd)) ? strlen(cwd) : 0;

	if (n > 1 && !strncmp(path, cwd, n) && path[n] == '/')
		path += n + 1;
	snprintf(buf, size, "%s", path);
}

/* ---- the message ---- */

static json_t *id_list(const struct capture_ids *ids)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < ids->n; i++)
		if (json_array_append_new(list, json_integer(ids->id[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *name_list(const struct capture_options *o)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < o->nnames; i++)
		if (json_array_append_new(list, control_text(o->names[i], 256)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* Whom the capture should belong to when root writes it for the person behind sudo. */
static json_t *owner(const char *variable)
{
	const char *text = getenv(variable);
	char *end;

	if (geteuid() == 0 && text && isdigit((unsigned char)*text)) {
		unsigned long v = strtoul(text, &end, 10);
		if (!*end && v < UINT32_MAX)
			return json_integer((json_int_t)v);
	}
	return json_integer(-1);
}

int request_attach(const struct capture_options *o, int command_pid, json_t **ret_msg,
		   struct lsc_err *err)
{
	struct capture_ids pids = command_pid ? (struct capture_ids){&command_pid, 1} : o->pids;
	char name[64], path[PATH_MAX + 64];
	int r = 0;

	if (!o->output)
		r = choose_output(o, command_pid, name, sizeof(name));
	if (r < 0)
		return lsc_err_set(
			err, r, "no free name for the capture in this directory: name one with -o");
	r = absolute(o->output ?: name, path, sizeof(path));
	if (r < 0)
		return lsc_err_set(err, r, "the output path '%.100s' cannot be used: %s",
				   o->output ?: name, strerror(-r));
	json_t *program =
		o->command ? control_text(last_part(o->command[0]), COMM_MAX) : json_null();
	json_t *msg = json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:f, s:I, "
		"s:o, "
		"s:b, "
		"s:s?, "
		"s:o, s:o}",
		"type", "attach", "pids", id_list(&pids), "names", name_list(o), "cgroup",
		o->cgroup ? control_text(o->cgroup, PATH_MAX) : json_null(), "tids",
		id_list(&o->tids), "loop_threads", id_list(&o->loop_threads), "command", program,
		"mode", o->command ? "record" : "attach", "follow", o->follow, "stall_ns",
		(json_int_t)o->stall_ns, "block_ns", (json_int_t)o->block_ns, "ready_wait_ns",
		(json_int_t)o->ready_wait_ns, "print_ns", (json_int_t)o->print_ns, "duration_ns",
		(json_int_t)o->duration_ns, "max_overhead", o->max_overhead, "max_bytes",
		(json_int_t)o->max_bytes, "output", control_text(path, sizeof(path)), "overwrite",
		o->output != NULL, "require", o->require, "owner_uid", owner("SUDO_UID"),
		"owner_gid", owner("SUDO_GID"));
	if (!msg)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	if (strcmp(json_string_value(json_object_get(msg, "output")), path)) {
		json_decref(msg);
		return lsc_err_set(err, -EILSEQ, "the output path must be UTF-8");
	}
	*ret_msg = msg;
	return 0;
}
