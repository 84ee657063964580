/* SPDX-License-Identifier: MIT */
/* Why a call failed, in words. */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tls.h"

static __thread char reason[240];

const char *lsc_tls_error(void)
{
	return reason;
}

int error_set(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return code;
}

int error_take(int code, const char *doing)
{
	/* The first one is the cause; those behind it are of its callers. */
	unsigned long e = ERR_get_error();
	const char *said = ERR_reason_error_string(e);

	ERR_clear_error();
	if (ERR_SYSTEM_ERROR(e)) {
		code = -(int)ERR_GET_REASON(e);
		said = strerrordesc_np(-code);
	} else if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE) {
		code = -ENOMEM;
	}
	return error_set(code, "%s: %s", doing, said ? said : "failed");
}
