/* SPDX-License-Identifier: MIT */
#ifndef LSC_FEED_FIND_H
#define LSC_FEED_FIND_H

#include <stdint.h>

struct collector;
struct target;

/* Looks for rings of a target that are not read yet, and opens them. */
void feed_find(struct collector *c, struct target *t);
/* From when on it may be looked at again. How long a look takes is the target's choice, and how
 * often one is called for: it may fork, exec, or make loops by the thousand a second. So the next
 * one waits for as long as this target's last one and all others' have taken, times a factor. */
uint64_t feed_find_from_ns(const struct collector *c, const struct target *t);
/* Looks at one that is new, or has a new loop: now, or as soon as it may. */
void feed_find_soon(struct collector *c, struct target *t);

#endif
