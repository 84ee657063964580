/* SPDX-License-Identifier: MIT */
#include "ring_id.h"

#include <sys/random.h>

static uint32_t secret;

void ring_id_init(void)
{
	if (!secret && getrandom(&secret, sizeof(secret), 0) < 0)
		secret = (uint32_t)(uintptr_t)&secret; /* early boot: better than none */
}

uint32_t ring_id_hash(uint32_t id)
{
	uint32_t h = id ^ secret; /* murmur3's finalizer */

	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	return h ^ h >> 16;
}
