/* SPDX-License-Identifier: MIT */
/* loopscope.ps/1 for eyes: a table of loops, and the tasks of a process as a tree of awaits. */
#ifndef LSC_REPORT_PS_TEXT_H
#define LSC_REPORT_PS_TEXT_H

#include "ps_graph.h"
#include "text_page.h"

/* One line a loop. */
void ps_text_loops(const struct page *p, const json_t *loops);

/* What holds the first thread of a process, a "main_thread"; nothing where that is null. */
void ps_text_held(const struct page *p, const json_t *held);

/* The tasks of each loop: at the top those that nobody awaits, below each what it awaits. A task
 * that several await is shown once; one of a cycle is not gone into again. 0 or -ENOMEM. */
int ps_text_tasks(const struct page *p, const json_t *doc, const struct ps_graph *g);

#endif
