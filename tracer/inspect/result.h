/* SPDX-License-Identifier: MIT */
/* A worker's checked answer in the words of inspector.h. */
#ifndef LSC_INSPECT_RESULT_H
#define LSC_INSPECT_RESULT_H

#include "inspect/message.h"

/* Texts point into buf, of size bytes, which holds m and what follows; frames are m's. */
struct inspector_result result_of(const struct message_result *m, const void *buf, size_t size,
				  const struct inspector_frame *frames);

#endif
