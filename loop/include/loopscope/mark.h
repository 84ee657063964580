/* SPDX-License-Identifier: MIT */
/* What the application says of itself in the record. */
#ifndef LOOPSCOPE_MARK_H
#define LOOPSCOPE_MARK_H

#include "loopscope/api.h"

LSC_BEGIN

/* Records a mark of the application's own: text is borrowed, up to 200 bytes are kept. Nothing
 * happens in a thread without a loop. */
LSC_API void lsc_mark(const char *text);

LSC_END

#endif
