/* SPDX-License-Identifier: MIT */
/*
 * An error with a sentence for a person. Functions return 0 or -errno; those that can say more take
 * a struct lsc_err, optional and last. Libraries fill it; only the programs print it.
 */
#ifndef LSC_BASE_ERR_H
#define LSC_BASE_ERR_H

struct lsc_err {
	int code;	/* -errno; 0 while no error was set */
	char text[240]; /* one line, no newline, names the thing and what to do */
};

/* Fills err (which may be NULL) and returns code, so that a failure is one line:
 *     return lsc_err_set(err, -EPROTO, "capture '%s': record %zu overruns", path, n);
 * code is negative. Long texts are cut. */
int lsc_err_set(struct lsc_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
