/* SPDX-License-Identifier: MIT */
/* Scope-bound cleanup for locals, and LSC_TAKE() to hand a local over. */
#ifndef LSC_BASE_CLEANUP_H
#define LSC_BASE_CLEANUP_H

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#define lsc_cleanup(fn) __attribute__((cleanup(fn)))

/* Yields the pointer and leaves NULL behind: the cleanup of the local then does nothing. */
#define LSC_TAKE(p)                                                                                \
	({                                                                                         \
		__typeof__(p) lsc_taken_ = (p);                                                    \
		(p) = NULL;                                                                        \
		lsc_taken_;                                                                        \
	})

#define LSC_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void lsc_freep(void *p)
{
	free(*(void **)p);
}
#define lsc_autofree lsc_cleanup(lsc_freep)

static inline void lsc_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define lsc_autoclose lsc_cleanup(lsc_closep)

static inline void lsc_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define lsc_autofclose lsc_cleanup(lsc_fclosep)

#endif
