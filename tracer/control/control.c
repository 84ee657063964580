/* SPDX-License-Identifier: MIT */
/*
 * The codec of the control protocol. It bounds what a hostile peer can cost: one datagram of at
 * most CONTROL_MAX_MESSAGE bytes, nesting checked before the parser recurses, duplicates refused.
 * What the fields mean is not its business.
 */
#include "control.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* The deepest message of docs/control.md needs 4; the parser's own bound is 2048. */
#define DEPTH_MAX 16

#define SEND_BYTES (6 << 20) /* the kernel doubles it; a line takes 1.3 KB there */

void control_make_room(int fd)
{
	int bytes = SEND_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

int control_send(int fd, json_t *msg)
{
	lsc_autofree char *text = NULL;
	ssize_t n;

	assert(json_is_object(msg) && json_is_string(json_object_get(msg, "type")));
	text = json_dumps(msg, JSON_COMPACT);
	json_decref(msg);
	if (!text)
		return -ENOMEM;
	size_t size = strlen(text);
	if (size > CONTROL_MAX_MESSAGE)
		return -EMSGSIZE;
	do
		n = send(fd, text, size, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0; /* a datagram goes whole or not at all */
}

/* True when no bracket lies deeper than DEPTH_MAX. Brackets inside strings do not count; whether
 * the text is JSON at all is for the parser to say. */
static bool shallow(const char *text, size_t size)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > DEPTH_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return true;
}

static int decode(const char *text, size_t size, json_t **ret_msg)
{
	json_error_t why;

	if (!shallow(text, size))
		return -EBADMSG;
	json_t *msg = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (!msg)
		return json_error_code(&why) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	if (!json_is_string(json_object_get(msg, "type"))) { /* also when msg is no object */
		json_decref(msg);
		return -EBADMSG;
	}
	*ret_msg = msg;
	return 1;
}

int control_recv(int fd, json_t **ret_msg)
{
	lsc_autofree char *buf = malloc(CONTROL_MAX_MESSAGE);
	struct iovec iov = {.iov_base = buf, .iov_len = CONTROL_MAX_MESSAGE};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1}; /* no room for passed descriptors */
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	/* ECONNRESET says once that the peer left messages unread; what it had sent is still
	 * queued. */
	do
		n = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	if (n ==
	    0) /* an empty datagram looks the same and means nothing: the peer is done either way */
		return 0;
	if (hdr.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	return decode(buf, (size_t)n, ret_msg);
}

/* The length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) in the left bytes at s, or
 * 0. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t len;
	unsigned low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0; /* overlong */
	else if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (s[0] == 0xf0)
		low = 0x90; /* overlong */
	else if (s[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (len > left || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

json_t *control_text(const char *bytes, size_t max)
{
	static const char replacement[] = "\xef\xbf\xbd";

	if (!bytes)
		return json_null();
	size_t size = strnlen(bytes, max);
	lsc_autofree char *out = malloc(max + 1);
	size_t used = 0;
	if (!out)
		return NULL;
	for (size_t i = 0; i < size;) {
		const char *from = bytes + i;
		size_t len = utf8_length((const unsigned char *)from, size - i), step = len;

		if (!len) {
			from = replacement;
			len = sizeof(replacement) - 1;
			step = 1;
		}
		if (used + len > max)
			break;
		memcpy(out + used, from, len);
		used += len;
		i += step;
	}
	return json_stringn(out, used);
}
