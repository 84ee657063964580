/* SPDX-License-Identifier: MIT */
/* Formats struct lsc_err; prints nothing. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int lsc_err_set(struct lsc_err *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	err->code = code;
	return code;
}
