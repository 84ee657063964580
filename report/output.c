/* SPDX-License-Identifier: MIT */
/* Temporary name, fsync, rename. A link at the path is refused rather than replaced or followed. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_open(const char *path, struct output *ret, struct lsc_err *err)
{
	struct output o = {.path = path};
	struct stat st;

	if (!lstat(path, &st) && !S_ISREG(st.st_mode))
		return lsc_err_set(err, -EINVAL, "'%s' is not a regular file: not replaced", path);
	if (asprintf(&o.temporary, "%s.XXXXXX", path) < 0)
		return lsc_err_set(err, -ENOMEM, "out of memory");
	int fd = mkostemp(o.temporary, O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;

		free(o.temporary);
		return lsc_err_set(err, r, "cannot write '%s': %s", path, strerror(-r));
	}
	o.file = fchmod(fd, 0640) < 0 ? NULL : fdopen(fd, "w");
	if (!o.file) {
		int r = -errno;

		close(fd);
		output_drop(&o);
		return lsc_err_set(err, r, "cannot write '%s': %s", path, strerror(-r));
	}
	*ret = o;
	return 0;
}

int output_finish(struct output *o, struct lsc_err *err)
{
	int r = fflush(o->file) || ferror(o->file) || fsync(fileno(o->file))
			? -(errno ? errno : EIO)
			: 0;

	if (fclose(o->file) && !r)
		r = -errno;
	o->file = NULL;
	if (!r && rename(o->temporary, o->path) < 0)
		r = -errno;
	if (r < 0) {
		output_drop(o);
		return lsc_err_set(err, r, "cannot write '%s': %s", o->path, strerror(-r));
	}
	free(o->temporary);
	o->temporary = NULL;
	return 0;
}

void output_drop(struct output *o)
{
	if (o->file)
		fclose(o->file);
	if (o->temporary)
		unlink(o->temporary);
	free(o->temporary);
	o->file = NULL;
	o->temporary = NULL;
}
