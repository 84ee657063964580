/* SPDX-License-Identifier: MIT */
/* What every public header begins with: visibility, and the names of the opaque objects. */
#ifndef LOOPSCOPE_API_H
#define LOOPSCOPE_API_H

#include <stddef.h>
#include <stdint.h>

#define LSC_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define LSC_BEGIN extern "C" {
#define LSC_END	  }
#else
#define LSC_BEGIN
#define LSC_END
#endif

/* A loop; it belongs to the thread that made it. See loop.h. */
struct lsc_loop;

/* Something that ends once, with an int. See future.h. */
struct lsc_future;

/* The body of a task: runs on a stack of its own, and ends by returning; what it returns is the
 * result of its future. */
typedef int (*lsc_task_fn)(void *arg);

/* What the loop calls outside of any task; must not suspend. */
typedef void (*lsc_call_fn)(void *arg);

#endif
