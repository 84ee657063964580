/* SPDX-License-Identifier: MIT */
/* Which processes are loopscope's own: watching them would show the watching. */
#ifndef LSC_OWN_H
#define LSC_OWN_H

#include <stdbool.h>

/* pid runs the program of this process, or the loopscope beside it: a client, a collector, or one
 * of its helpers, of this job or another. False when it has ended. */
bool own_process(int pid);

/* The file that pid runs is called as ours are: a loopscope of another build, or of an installation
 * that was replaced. For lists of all there is; whoever is asked for by number is not left out by a
 * name. */
bool own_kin(int pid);

#endif
