/* SPDX-License-Identifier: MIT */
/* Whether this process was started to outlive its terminal. */
#ifndef LSC_BASE_HANGUP_H
#define LSC_BASE_HANGUP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* SIGHUP was ignored when the program began, as nohup(1) has it: then it is no request to end. To
 * be asked before a handler is set. */
static inline bool lsc_hangup_is_ignored(void)
{
	struct sigaction now;

	return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

#endif
