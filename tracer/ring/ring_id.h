/* SPDX-License-Identifier: MIT */
/*
 * Hashing ids that come from a target: without a secret it could make them all fall into one
 * bucket. Including this changes what uthash does with keys, which must be ids.
 */
#ifndef LSC_TRACER_RING_ID_H
#define LSC_TRACER_RING_ID_H

#include <stdint.h>

#include <uthash.h>

#undef HASH_FUNCTION
#define HASH_FUNCTION(key, length, value) ((value) = ring_id_hash(*(const uint32_t *)(key)))

/* Before the first hash. */
void ring_id_init(void);
uint32_t ring_id_hash(uint32_t id);

#endif
