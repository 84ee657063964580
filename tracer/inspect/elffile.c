/* SPDX-License-Identifier: MIT */
/* What libdwfl is asked once for each file. */
#include "inspect/elffile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/altlink.h"
#include "inspect/debugfile.h"

#define SPEND_MAX (384ull << 20) /* of an indexer's RLIMIT_AS */

static uint64_t spent; /* by all files; an indexer has one thread */

/* libdwfl asks when the file itself lacks symbols or DWARF, once for each. */
static int find_debuginfo(Dwfl_Module *mod, void **data, const char *name, Dwarf_Addr base,
			  const char *file, const char *link, GElf_Word crc, char **ret)
{
	struct elffile *f = *data;

	(void)mod, (void)base, (void)file, (void)crc, (void)ret;
	if (!f || f->searched)
		return -1;
	f->searched = true;
	return debugfile_find(f, name, link);
}

static const Dwfl_Callbacks callbacks = {.find_debuginfo = find_debuginfo};

bool elffile_build_id(const void *bits, ssize_t n, char ret[INDEX_BUILD_ID_MAX])
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bits;

	memset(ret, 0, INDEX_BUILD_ID_MAX);
	if (n <= 0 || n > (INDEX_BUILD_ID_MAX - 1) / 2)
		return false;
	for (ssize_t i = 0; i < n; i++) {
		ret[2 * i] = digits[b[i] >> 4];
		ret[2 * i + 1] = digits[b[i] & 15];
	}
	return true;
}

bool elffile_spend(struct elffile *f, uint64_t bytes)
{
	if (bytes > SPEND_MAX - spent)
		return false;
	spent += bytes;
	f->spent += bytes;
	return true;
}

/* Takes fd. */
static int report(struct elffile *f, const char *path, int fd)
{
	void **data;

	f->dwfl = dwfl_begin(&callbacks);
	if (!f->dwfl) {
		lsc_closep(&fd);
		return -ENOMEM;
	}
	f->module = dwfl_report_elf(f->dwfl, path, path, fd, 0, true);
	if (!f->module) {
		lsc_closep(&fd);
		return -ENOEXEC;
	}
	if (dwfl_report_end(f->dwfl, NULL, NULL) != 0 ||
	    !dwfl_module_info(f->module, &data, NULL, NULL, NULL, NULL, NULL, NULL))
		return -ENOEXEC;
	*data = f;
	return 0;
}

int elffile_open(int fd, int broker, const struct message_file *what, const char *path,
		 const struct message_stamp *stamp, struct elffile **ret)
{
	const unsigned char *bits;
	GElf_Addr address, bias;
	struct elffile *f = calloc(1, sizeof(*f));

	if (!f) {
		lsc_closep(&fd);
		return -ENOMEM;
	}
	f->stamp = *stamp;
	f->broker = broker;
	f->pid = what->pid;
	f->plain = what->flags & MESSAGE_FILE_PLAIN;
	f->cache = what->flags & MESSAGE_FILE_CACHE;
	f->edition = what->edition;
	f->alt.fd = -1;
	const char *slash = strrchr(path, '/');
	snprintf(f->base, sizeof(f->base), "%.*s", slash ? (int)(slash - path) : 0, path);
	int r = report(f, path, fd);
	Elf *elf = r < 0 ? NULL : dwfl_module_getelf(f->module, &bias);
	if (!elf) {
		elffile_close(f);
		return r < 0 ? r : -ENOEXEC;
	}
	debugfile_note(elf, &f->has_symtab, &f->has_lines);
	int n = dwfl_module_build_id(f->module, &bits, &address);
	elffile_build_id(bits, n, f->build_id);
	/* Either has a debug file looked for; reading one's lines is put off until they are asked
	 * for. */
	dwfl_module_getsymtab(f->module);
	if (!f->searched)
		dwfl_module_getdwarf(f->module, &bias);
	*ret = f;
	return 0;
}

struct elffile *elffile_close(struct elffile *f)
{
	if (!f)
		return NULL;
	dwfl_end(f->dwfl);
	altlink_detach(f);
	spent -= f->spent;
	free(f);
	return NULL;
}
