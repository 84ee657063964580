/* SPDX-License-Identifier: MIT */
/* Writes a MESSAGE_RESULT: frames first, then one block of texts, each once. */
#ifndef LSC_INSPECT_ANSWER_H
#define LSC_INSPECT_ANSWER_H

#include "inspect/message.h"

#define ANSWER_TEXT_MAX	   (48 * 1024)
#define ANSWER_OBJECTS_MAX 256

struct answer {
	struct message_result head;
	struct message_frame frames[INSPECTOR_FRAMES_MAX];
	struct {
		const char *text;
		uint32_t offset;
	} seen[INSPECTOR_FRAMES_MAX * 5];
	size_t nseen;
	struct {
		uint64_t object;
		uint32_t offset;
	} objects[ANSWER_OBJECTS_MAX]; /* of the target, whose text is there already */
	size_t nobjects;
	char text[ANSWER_TEXT_MAX];
};
_Static_assert(sizeof(struct message_result) + INSPECTOR_FRAMES_MAX * sizeof(struct message_frame) +
			       ANSWER_TEXT_MAX <=
		       MESSAGE_MAX,
	       "an answer is one message");

void answer_init(struct answer *a, uint64_t cookie);

/* The offset of a text (NULL: 0). Long ones are cut; without room the text is unknown, 0. */
uint32_t answer_text(struct answer *a, const char *text);
/* Gives a symbol's name as it is told: demangled where it is a C++ (or old Rust) one, without its
 * version. NULL: as it is. */
char *answer_plain(const char *name);

/* Of one that does not stay where it is: no two of them are told to be the same. */
uint32_t answer_copy(struct answer *a, const char *text);

/* Where the text of an object of the target is that answer_object() was told. False: nowhere. */
bool answer_has_object(const struct answer *a, uint64_t object, uint32_t *ret);
uint32_t answer_object(struct answer *a, uint64_t object, const char *text);

/* The frame to fill next; NULL when there is no more room. */
struct message_frame *answer_frame(struct answer *a);

/* Copies the message into buf of MESSAGE_MAX bytes. Its size. */
size_t answer_write(const struct answer *a, void *buf);

#endif
