/* SPDX-License-Identifier: MIT */
/* Edges by number; cycles by a walk in depth that keeps its own stack. */
#include "ps_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "field.h"

struct place { /* where the task with this number is */
	int64_t id;
	size_t node;
};

static int compare_nodes(const void *a, const void *b)
{
	const struct ps_node *x = a, *y = b;

	if (x->loop != y->loop)
		return x->loop < y->loop ? -1 : 1;
	int names = strverscmp(x->name ? x->name : "", y->name ? y->name : "");
	return names ? names : (x->id > y->id) - (x->id < y->id);
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void add_edges(struct ps_graph *g, const struct place *places, size_t node, size_t *used)
{
	struct ps_node *from = &g->nodes[node];
	const json_t *number;
	size_t i;

	from->awaits = g->edges + *used;
	json_array_foreach(json_object_get(from->task, "awaits"), i, number) {
		struct place key = {.id = json_integer_value(number)};
		const struct place *at =
			json_is_integer(number)
				? bsearch(&key, places, g->n, sizeof(key), compare_places)
				: NULL;
		if (!at)
			continue;
		from->awaits[from->nawaits++] = at->node;
		g->nodes[at->node].awaited = true;
	}
	*used += from->nawaits;
}

/* Marks the task and all that it leads to. stack has room for all. */
static void reach(const struct ps_graph *g, size_t from, bool *reached, size_t *stack)
{
	size_t n = 0;

	reached[from] = true;
	stack[n++] = from;
	while (n) {
		const struct ps_node *node = &g->nodes[stack[--n]];
		for (size_t i = 0; i < node->nawaits; i++) {
			if (reached[node->awaits[i]])
				continue;
			reached[node->awaits[i]] = true;
			stack[n++] = node->awaits[i];
		}
	}
}

static int find_roots(struct ps_graph *g)
{
	lsc_autofree bool *reached = calloc(g->n + 1, sizeof(*reached));
	lsc_autofree size_t *stack = calloc(g->n + 1, sizeof(*stack));

	if (!reached || !stack)
		return -ENOMEM;
	for (int cycles = 0; cycles < 2; cycles++) {
		for (size_t i = 0; i < g->n; i++) {
			if (cycles ? reached[i] : g->nodes[i].awaited)
				continue;
			g->nodes[i].root = true;
			reach(g, i, reached, stack);
		}
	}
	return 0;
}

struct ps_graph *ps_graph_new(const json_t *tasks)
{
	struct ps_graph *g = calloc(1, sizeof(*g));
	size_t n = json_array_size(tasks), i, nedges = 0, used = 0;
	lsc_autofree struct place *places = calloc(n + 1, sizeof(*places));
	const json_t *task;

	if (g)
		g->nodes = calloc(n + 1, sizeof(*g->nodes));
	if (!g || !g->nodes || !places)
		return ps_graph_free(g);
	json_array_foreach(tasks, i, task) {
		g->nodes[g->n++] = (struct ps_node){.task = task,
						    .id = field_int(task, "id", 0),
						    .loop = field_int(task, "loop", 0),
						    .name = field_text(task, "name")};
		nedges += json_array_size(json_object_get(task, "awaits"));
	}
	g->edges = calloc(nedges + 1, sizeof(*g->edges));
	if (!g->edges)
		return ps_graph_free(g);
	qsort(g->nodes, g->n, sizeof(g->nodes[0]), compare_nodes);
	for (i = 0; i < g->n; i++)
		places[i] = (struct place){g->nodes[i].id, i};
	qsort(places, g->n, sizeof(places[0]), compare_places);
	for (i = 0; i < g->n; i++)
		add_edges(g, places, i, &used);
	return find_roots(g) == 0 ? g : ps_graph_free(g);
}

struct ps_graph *ps_graph_free(struct ps_graph *g)
{
	if (!g)
		return NULL;
	free(g->nodes);
	free(g->edges);
	free(g);
	return NULL;
}

/* ---- cycles ---- */

struct walk {
	const struct ps_graph *g;
	size_t *path, *next; /* the tasks on the way, and which of their edges comes next */
	size_t *depth;	     /* of each task on the path, from 1 on; 0: not on it */
	bool *seen;
	size_t n;
	json_t *cycles;
};

static void enter(struct walk *w, size_t node)
{
	w->path[w->n] = node;
	w->next[w->n++] = 0;
	w->depth[node] = w->n;
	w->seen[node] = true;
}

static void note_cycle(struct walk *w, size_t from)
{
	json_t *cycle = json_array();

	for (size_t i = w->depth[from] - 1; i < w->n; i++)
		json_array_append_new(cycle, json_integer(w->g->nodes[w->path[i]].id));
	json_array_append_new(w->cycles, cycle);
}

static void walk_from(struct walk *w, size_t root)
{
	enter(w, root);
	while (w->n) {
		const struct ps_node *node = &w->g->nodes[w->path[w->n - 1]];
		if (w->next[w->n - 1] == node->nawaits) {
			w->depth[w->path[--w->n]] = 0;
			continue;
		}
		size_t to = node->awaits[w->next[w->n - 1]++];
		if (!w->seen[to])
			enter(w, to);
		else if (w->depth[to] && json_array_size(w->cycles) < PS_CYCLES_MAX)
			note_cycle(w, to);
	}
}

json_t *ps_graph_cycles(const struct ps_graph *g)
{
	lsc_autofree size_t *path = calloc(g->n + 1, sizeof(*path));
	lsc_autofree size_t *next = calloc(g->n + 1, sizeof(*next));
	lsc_autofree size_t *depth = calloc(g->n + 1, sizeof(*depth));
	lsc_autofree bool *seen = calloc(g->n + 1, sizeof(*seen));
	struct walk w = {g, path, next, depth, seen, 0, json_array()};

	if (!path || !next || !depth || !seen || !w.cycles) {
		json_decref(w.cycles);
		return NULL;
	}
	for (size_t i = 0; i < g->n; i++)
		if (!seen[i])
			walk_from(&w, i);
	return w.cycles;
}
