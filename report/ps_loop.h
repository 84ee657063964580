/* SPDX-License-Identifier: MIT */
/* What a loop holds beside its tasks: what its epoll set watches, and the handles of libuv. */
#ifndef LSC_REPORT_PS_LOOP_H
#define LSC_REPORT_PS_LOOP_H

#include <jansson.h>

#include "text_page.h"

/* A line for each. loop is one of loopscope.ps/1. */
void ps_loop_print(const struct page *p, const json_t *loop);

#endif
