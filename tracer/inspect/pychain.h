/* SPDX-License-Identifier: MIT */
/*
 * The frames of Python of a thread and its task, read to the last name and line. They are there
 * while the thread sleeps, their code as long as the target keeps it: what else a stack needs may
 * take longer, and nothing of the target is read for these again.
 */
#ifndef LSC_INSPECT_PYCHAIN_H
#define LSC_INSPECT_PYCHAIN_H

#include "inspect/pyframe.h"

#define PYCHAIN_TEXT	(32 * 1024)
#define PYCHAIN_OBJECTS 256

struct pychain_frame {
	uint64_t address;
	uint32_t function, file; /* offsets in the text; 0 unknown */
	int line;		 /* 0 unknown */
	bool hidden, last;	 /* as in struct pyframe */
};

struct pychain {
	enum message_why why; /* not NONE: the rest is empty */
	unsigned int minor;   /* of its version */
	size_t n;
	bool cut;		  /* there are more */
	bool gone;		  /* of some the code is not there any more */
	struct message_task task; /* texts are ours */
	struct pychain_frame frames[PYFRAME_MAX];
	size_t nobjects; /* of the target, whose text is there already */
	struct {
		uint64_t object;
		uint32_t offset;
	} objects[PYCHAIN_OBJECTS];
	uint32_t text_size;
	char text[PYCHAIN_TEXT]; /* begins with an empty one */
};

/* Reads those of the thread that the target numbers tid; or, where seen is not NULL, those that
 * were taken before. Names are those of as many frames as a stack has at most. v NULL: there are
 * none. */
void pychain_read(struct pyview *v, uint32_t tid, const struct inspector_chain *seen,
		  struct pychain *ret);

#endif
