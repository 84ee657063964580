/* SPDX-License-Identifier: MIT */
/* The producer's side of the ring, as plain writes to the memfd. */
#include "made.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

struct made made_unsealed(unsigned bits, long size)
{
	struct made m = {.fd = memfd_create(LSC_RING_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING),
			 .slots = 1ull << bits};

	assert_true(m.fd >= 0);
	assert_int_equal(ftruncate(m.fd, size), 0);
	m.header = (struct lsc_ring_header){.magic = LSC_RING_MAGIC,
					    .version = LSC_RING_VERSION,
					    .header_size = LSC_RING_HEADER_SIZE,
					    .record_size = LSC_RECORD_SIZE,
					    .record_bits = bits,
					    .pid = 12,
					    .tid = 13,
					    .clock = LSC_CLOCK_MONOTONIC,
					    .current_offset = 2056,
					    .current_addr = 0x7f0000000808,
					    .mono0_ns = lsc_now_ns(),
					    .runtime = "made",
					    .runtime_version = "0"};
	return m;
}

void made_write_header(struct made *m)
{
	assert_int_equal(pwrite(m->fd, &m->header, sizeof(m->header), 0), sizeof(m->header));
}

void made_seal(struct made *m, int seals)
{
	assert_int_equal(fcntl(m->fd, F_ADD_SEALS, seals), 0);
}

struct made made_ring(unsigned bits)
{
	struct made m =
		made_unsealed(bits, (long)LSC_RING_HEADER_SIZE + ((long)LSC_RECORD_SIZE << bits));

	made_write_header(&m);
	made_seal(&m, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return m;
}

void made_set_head(struct made *m, uint64_t head)
{
	m->header.head = head;
	assert_int_equal(pwrite(m->fd, &head, 8, offsetof(struct lsc_ring_header, head)), 8);
}

void made_put(struct made *m, struct lsc_record record)
{
	uint64_t index = m->header.head;
	long at = (long)(LSC_RING_HEADER_SIZE + index % m->slots * LSC_RECORD_SIZE);

	if (!record.seq)
		record.seq = index + 1;
	if (!record.time)
		record.time = lsc_now_ns();
	assert_int_equal(pwrite(m->fd, &record, sizeof(record), at), sizeof(record));
	made_set_head(m, index + 1);
}

void made_put_text(struct made *m, const char *text, size_t size)
{
	for (uint16_t part = 0; size; part++) {
		struct lsc_record_text piece = {.kind = LSC_REC_TEXT};
		struct lsc_record record;
		piece.length = size < sizeof(piece.text) ? (uint8_t)size : sizeof(piece.text);
		size -= piece.length;
		piece.part = part | (size ? 0 : LSC_TEXT_LAST);
		memcpy(piece.text, text, piece.length);
		text += piece.length;
		memcpy(&record, &piece, sizeof(record));
		made_put(m, record);
	}
}

int made_dup(const struct made *m)
{
	int fd = dup(m->fd);

	assert_true(fd >= 0);
	return fd;
}

uint64_t made_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t made_seed(void)
{
	uint64_t seed;

	assert_int_equal(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	return seed;
}
