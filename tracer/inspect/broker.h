/* SPDX-License-Identifier: MIT */
/* The broker: opens what belongs to a target and hands descriptors to the worker. Parses no ELF. */
#ifndef LSC_INSPECT_BROKER_H
#define LSC_INSPECT_BROKER_H

/* Serves MESSAGE_OPEN from collector until end of stream. For a process of its own. */
void broker_run(int collector, int worker);

#endif
