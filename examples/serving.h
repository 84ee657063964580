/* SPDX-License-Identifier: MIT */
/* What the example servers have in common: NAME [PORT], the line that says where they listen. */
#ifndef LSC_EXAMPLES_SERVING_H
#define LSC_EXAMPLES_SERVING_H

#include "loopscope/loopscope.h"

/* For main(): serves 127.0.0.1 at the port of argv (none: any) with client(stream, arg), until
 * SIGTERM or SIGINT comes. goodbye(arg), where it is not NULL, then ends the connections, which are
 * waited for; else they are cancelled. Returns the exit status; tells errors on stderr. */
int serving_main(int argc, char **argv, lsc_client_fn client, void *arg,
		 void (*goodbye)(void *arg));

#endif
