/* SPDX-License-Identifier: MIT */
/* What a server runs for each message. It runs when other programs have used the caches, so such
 * functions lie together, and with them few lines and pages are to be fetched again. */
#ifndef LSC_LOOP_HOT_H
#define LSC_LOOP_HOT_H

#define LSC_HOT __attribute__((hot))

#endif
