/* SPDX-License-Identifier: MIT */
/* What a person is told when a capture is over because what it watched has ended. */
#ifndef LSC_ENDING_H
#define LSC_ENDING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture.h"

struct ending {
	const struct capture_options *o; /* borrows */
	bool watched;			 /* "ready" had come */
	int command_status;		 /* as in struct capture_result */
	uint64_t ran_ns;		 /* the command's run */
};

/* The notice to the message "end": that what was watched has ended, how, and whether that was
 * before anything could be seen of it. "" where there is nothing to say: the capture ended
 * otherwise, or a command in good health. */
void ending_text(const struct ending *e, const json_t *end, char *ret_text, size_t size);

#endif
