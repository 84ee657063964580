/* SPDX-License-Identifier: MIT */
/* One sentence about the end of what was watched. */
#include "ending.h"

#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "field.h"

static void tell_command(const struct ending *e, bool seen, char *ret_text, size_t size)
{
	char ran[32];

	snprintf(ret_text, size, "%s ended with exit status %d after %s%s", e->o->command[0],
		 e->command_status, lsc_duration_format(e->ran_ns, ran, sizeof(ran)),
		 seen ? "" : ": no event loop was seen in it");
}

static void tell_processes(const struct ending *e, const json_t *end, bool seen, char *ret_text,
			   size_t size)
{
	bool one = e->o->pids.n == 1 && !e->o->nnames && !e->o->cgroup;
	char who[48] = "all processes", after[32];

	if (one)
		snprintf(who, sizeof(who), "process %d", e->o->pids.id[0]);
	lsc_duration_format(field_u64(end, "duration_ns"), after, sizeof(after));
	if (e->watched)
		snprintf(ret_text, size, "%s ended%s", who, seen ? "" : ": no event loop was seen");
	else
		snprintf(ret_text, size,
			 "%s ended before the watch was ready, %s after it began: %s", who, after,
			 seen ? "little was seen" : "no event loop was seen");
}

void ending_text(const struct ending *e, const json_t *end, char *ret_text, size_t size)
{
	const char *reason = field_text(end, "reason");
	bool seen = field_u64(end, "loops") > 0;

	*ret_text = '\0';
	if (!reason || strcmp(reason, "target-exit") != 0)
		return;
	if (!e->o->command)
		tell_processes(e, end, seen, ret_text, size);
	else if (e->command_status > 0 || (e->command_status == 0 && !seen))
		tell_command(e, seen, ret_text, size);
}
