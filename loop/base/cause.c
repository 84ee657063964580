/* SPDX-License-Identifier: MIT */
/* Names of causes, as the JSON and the store spell them. */
#include "base/cause.h"

#include <string.h>

static const char *const names[LSC_CAUSE_COUNT] = {
	"sleep",      "file-io",    "network-io", "pipe-io",  "lock",	    "gil",
	"child-wait", "page-fault", "device",	  "cpu-user", "cpu-kernel", "runqueue",
	"throttled",  "steal",	    "stopped",	  "other",
};

const char *lsc_cause_name(int cause)
{
	return cause >= 0 && cause < LSC_CAUSE_COUNT ? names[cause] : "other";
}

int lsc_cause_of(const char *name)
{
	for (int i = 0; i < LSC_CAUSE_COUNT; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}
