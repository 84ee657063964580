/* SPDX-License-Identifier: MIT */
/*
 * A greenlet begins on the stack of whoever started it, who has gone on since: what is walked
 * beyond its first function is of another greenlet, or was. The interpreter's own list of frames
 * ends at that function, too.
 */
#include "inspect/greenlet.h"

#include <string.h>

/* The file is the extension module's own, and exports the function: greenlet 2 and 3. */
static bool is_begin(const struct answer *a, const struct message_frame *f)
{
	const char *module = a->text + f->module, *slash = strrchr(module, '/');

	return !strncmp(slash ? slash + 1 : module, "_greenlet.", 10) &&
	       strstr(a->text + f->function, "Greenlet::inner_bootstrap");
}

void greenlet_cut(struct answer *a)
{
	for (uint32_t i = 0; i < a->head.nframes; i++) {
		if (!is_begin(a, &a->frames[i]))
			continue;
		a->head.nframes = i + 1;
		/* the walk came to grief, if it did, in what is not the greenlet's */
		a->head.flags &= ~(uint32_t)MESSAGE_RESULT_TRUNCATED;
		a->head.why = MESSAGE_WHY_NONE;
		return;
	}
}
