/* SPDX-License-Identifier: MIT */
/* Histograms as they lie in the file: varints of count, sum, maximum, then (gap, count) per used
 * slot. */
#include "handle.h"

#include <errno.h>
#include <string.h>

#include "varint.h"

size_t histogram_pack(const struct lsc_histogram *h, uint8_t *buf)
{
	uint8_t *p = buf;
	uint32_t next = 0;

	p = varint_put(p, h->count);
	p = varint_put(p, h->sum_ns);
	p = varint_put(p, h->max_ns);
	for (uint32_t i = 0; i < LSC_HIST_SLOTS; i++) {
		if (!h->slot[i])
			continue;
		p = varint_put(p, i - next);
		p = varint_put(p, h->slot[i]);
		next = i + 1;
	}
	return (size_t)(p - buf);
}

int histogram_unpack(const void *data, size_t size, struct lsc_histogram *ret)
{
	const uint8_t *p = data, *end = p + size;
	struct lsc_histogram h = {0};
	uint64_t gap, n, slot = 0, sum = 0;

	p = varint_get(p, end, &h.count);
	p = varint_get(p, end, &h.sum_ns);
	p = varint_get(p, end, &h.max_ns);
	while (p && p < end) {
		p = varint_get(p, end, &gap);
		p = varint_get(p, end, &n);
		if (!p || gap >= LSC_HIST_SLOTS - slot || !n || n > UINT32_MAX)
			return -EBADMSG;
		slot += gap;
		h.slot[slot++] = (uint32_t)n;
		sum += n;
	}
	if (!p || sum > h.count) /* less is legal: slots are 32 bits wide */
		return -EBADMSG;
	memcpy(ret, &h, sizeof(h));
	return 0;
}
