/* SPDX-License-Identifier: MIT */
/*
 * Files that lie beside a target's own and say more about its code: separate debug files and the
 * map that a JIT writes. The worker asks for one, the broker looks in the usual places and opens
 * it. Which of them to believe is the worker's to find out; whose they are, the broker's.
 */
#ifndef LSC_INSPECT_SIDEFILE_H
#define LSC_INSPECT_SIDEFILE_H

#include <stddef.h>

#include "inspect/message.h"

#define SIDEFILE_DEBUG_ROOT "/usr/lib/debug"
#define SIDEFILE_DEBUG_MAX  (512ll << 20)
#define SIDEFILE_MAP_MAX    (64ll << 20)

/* The broker's side: opens what m asks for; text, of size bytes, is the target's or a hostile
 * worker's. Gives a descriptor, or -errno: -ENOENT nothing there, -ENXIO no plain file, -EFBIG, or
 * -EPERM: a map that is not the target's own. */
int sidefile_open(const struct message_sidefile *m, const char *text, size_t size);

/* The worker's side: asks and waits; the collector ends us if that takes too long. Gives the same.
 */
int sidefile_ask(int broker, enum message_place place, int pid, const char *text, size_t size);

#endif
