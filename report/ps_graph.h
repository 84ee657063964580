/* SPDX-License-Identifier: MIT */
/* Tasks and who awaits whom, from the objects of loopscope.ps/1. Treats them as hostile: numbers
 * that mean nothing are no edges. */
#ifndef LSC_REPORT_PS_GRAPH_H
#define LSC_REPORT_PS_GRAPH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PS_CYCLES_MAX 100

struct ps_node {
	const json_t *task; /* borrowed */
	int64_t id, loop;   /* loop 0: unknown */
	const char *name;   /* borrowed; NULL unknown */
	size_t *awaits;	    /* nodes, borrowed from the graph */
	size_t nawaits;
	bool awaited; /* by another task */
	bool root; /* nobody awaits it, or it is the first one of a cycle that nothing else leads to
		    */
};

struct ps_graph {
	struct ps_node *nodes; /* by loop, then name ("Task-2" before "Task-10") */
	size_t n;
	size_t *edges;
};

/* Borrows tasks, an array. NULL out of memory. */
struct ps_graph *ps_graph_new(const json_t *tasks);
/* NULL is fine. Returns NULL. */
struct ps_graph *ps_graph_free(struct ps_graph *g);

/* The cycles, each as an array of task ids in the order of awaiting; at most PS_CYCLES_MAX. Gives
 * an array; NULL out of memory. */
json_t *ps_graph_cycles(const struct ps_graph *g);

#endif
