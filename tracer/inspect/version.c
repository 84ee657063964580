/* SPDX-License-Identifier: MIT */
/*
 * Ways that are certain, or none: an exported function that returns nothing but the number, a
 * structure that says the same twice, a constant that the program prints as its version. Nothing of
 * the target is run.
 */
#include "inspect/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inspect/answer.h"
#include "inspect/find.h"

#define RODATA_MAX (16u << 20)
#define TEXT_MAX   32
#define CODE_BYTES 10

/* As PY_VERSION_HEX has it. 0: not such numbers. */
static uint32_t pack(unsigned long major, unsigned long minor, unsigned long micro)
{
	if (major > 255 || minor > 255 || micro > 255)
		return 0;
	return (uint32_t)(major << 24 | minor << 16 | micro << 8);
}

/* "1.22.1" and where it ends. 0: there are no three numbers. */
static uint32_t parse(const char *text, const char **ret_end)
{
	unsigned long n[3];

	for (int i = 0; i < 3; i++) {
		char *end;
		if (*text < '0' || *text > '9')
			return 0;
		n[i] = strtoul(text, &end, 10);
		if (i < 2 && *end != '.')
			return 0;
		text = end + (i < 2);
	}
	*ret_end = text;
	return pack(n[0], n[1], n[2]);
}

uint32_t version_in_text(const char *text, size_t size, const char *prefix)
{
	const size_t length = strlen(prefix);
	uint32_t found = 0;

	for (const char *at = text;
	     (at = memmem(at, size - (size_t)(at - text), prefix, length));) {
		char number[TEXT_MAX] = "";
		const char *end;
		at += length;
		size_t left = size - (size_t)(at - text);
		memcpy(number, at, left < sizeof(number) - 1 ? left : sizeof(number) - 1);
		uint32_t version = parse(number, &end);
		if (!version || (*end && *end != '\n' && *end != ' ') ||
		    (found && found != version))
			return 0;
		found = version;
	}
	return found;
}

/* endbr64 or nothing, mov $number, %eax; ret. */
bool version_returned(const uint8_t code[CODE_BYTES], uint32_t *ret)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};

	if (memcmp(code, endbr, sizeof(endbr)) == 0)
		code += sizeof(endbr);
	if (code[0] != 0xb8 || code[5] != 0xc3)
		return false;
	memcpy(ret, code + 1, sizeof(*ret));
	return true;
}

static uint32_t by_function(struct space *s, const char *file, const char *symbol)
{
	uint64_t address, size;
	uint8_t code[CODE_BYTES];
	uint32_t n;

	if (!find_symbol(s, file, symbol, &address, &size) ||
	    !space_read(s, address, code, sizeof(code)) || !version_returned(code, &n))
		return 0;
	return n >> 24 ? 0 : n << 8; /* both have the numbers in three bytes */
}

/* RM_GetServerVersion() is for modules, so that every build exports it. */
static uint32_t of_redis(struct space *s)
{
	return by_function(s, "redis", "RM_GetServerVersion");
}

static uint32_t of_libuv(struct space *s)
{
	return by_function(s, "libuv", "uv_version");
}

/* A std::string of libstdc++: a pointer and a length. */
static bool read_string(const struct space *s, uint64_t address, char text[TEXT_MAX])
{
	uint64_t head[2];

	if (!space_read(s, address, head, sizeof(head)) || !head[1] || head[1] >= TEXT_MAX ||
	    !space_read(s, head[0], text, head[1]))
		return false;
	text[head[1]] = '\0';
	return true;
}

/* process.versions begins with those of node and V8; V8's is node's own: "11.3.244.8-node.33". */
static uint32_t of_node(struct space *s)
{
	char node[TEXT_MAX], v8[TEXT_MAX];
	uint64_t address, size;
	const char *end = "";

	if (!find_symbol(s, "node", "_ZN4node11per_process8metadataE", &address, &size) ||
	    size < 64 || !read_string(s, address, node) || !read_string(s, address + 32, v8) ||
	    !strstr(v8, "-node."))
		return 0;
	uint32_t version = parse(node, &end);
	return *end ? 0 : version; /* nightly builds have more */
}

static uint32_t of_nginx(struct space *s)
{
	uint64_t address, size;

	if (!find_section(s, "nginx", ".rodata", &address, &size) || size > RODATA_MAX)
		return 0;
	lsc_autofree char *text = malloc(size);
	if (!text || !space_read(s, address, text, size))
		return 0;
	return version_in_text(text, size, "nginx version: nginx/");
}

static const struct {
	const char *name;
	uint32_t (*read)(struct space *s);
} runtimes[] = {
	{"redis", of_redis},
	{"nginx", of_nginx},
	{"node", of_node},
	{"libuv", of_libuv},
};

size_t version_run(struct space *s, const struct message_job *job, const char *name,
		   unwind_phase_fn *phase, void *arg, void *buf)
{
	static struct answer answer; /* the worker has one thread */

	answer_init(&answer, job->cookie);
	if (!s || s->mem < 0) {
		answer.head.why = MESSAGE_WHY_UNREADABLE;
		return answer_write(&answer, buf);
	}
	if (space_is_gone(s)) {
		answer.head.flags |= MESSAGE_RESULT_GONE;
		return answer_write(&answer, buf);
	}
	phase(MESSAGE_PHASE_INDEX, arg);
	for (size_t i = 0; i < LSC_ARRAY_LEN(runtimes); i++)
		if (job->size == strlen(runtimes[i].name) + 1 &&
		    memcmp(name, runtimes[i].name, job->size) == 0)
			answer.head.tally.version = runtimes[i].read(s);
	return answer_write(&answer, buf);
}
