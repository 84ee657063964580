/* SPDX-License-Identifier: MIT */
/* One message of the control protocol; what is understood can be sent back. */
#include "fuzz.h"

#include <sys/socket.h>

#include "control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int pair[2];
	json_t *msg = NULL;

	if (!pair[1])
		FUZZ_MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	if (!size || size > CONTROL_MAX_MESSAGE)
		return 0;
	FUZZ_MUST(send(pair[0], data, size, 0) == (ssize_t)size);
	if (control_recv(pair[1], &msg) == 1) {
		FUZZ_MUST(json_is_string(json_object_get(msg, "type")));
		/* written out it may be longer than it was */
		if (control_send(pair[0], json_incref(msg)) == 0) {
			json_t *again = NULL;
			FUZZ_MUST(control_recv(pair[1], &again) == 1);
			FUZZ_MUST(json_equal(msg, again));
			json_decref(again);
		}
		json_decref(msg);
	}
	json_t *text = control_text((const char *)data, size);
	FUZZ_MUST(text && json_string_length(text) <= size);
	json_decref(text);
	return 0;
}
