/* SPDX-License-Identifier: MIT */
/*
 * libloopscope: an event loop with coroutine tasks, in the meanings of Python's asyncio, which
 * records each transition of its tasks in shared memory (loopscope/wire.h) where loopscoped can
 * read it. This header is all of them; each can be included alone.
 *
 *   loop.h     running loops; debug mode; calls from other threads
 *   task.h     tasks, yielding
 *   future.h   futures: await, result, cancel, callbacks, references
 *   gather.h   many futures: all, some, in the order of their ends; shields
 *   group.h    task groups
 *   timer.h    sleeping, calls soon and at a time
 *   timeout.h  bounds on time
 *   event.h, lock.h, condition.h, semaphore.h, barrier.h, queue.h
 *              between tasks of one loop
 *   fd.h       waiting for descriptors
 *   io.h       operations on descriptors: read, recv, send, accept, connect, ...
 *   file.h     operations on files: open, pread, fsync, statx, ...
 *   stream.h   buffered streams
 *   filter.h   what stands between a stream and its descriptor
 *   connection.h, server.h  both ends of connections, UDP
 *   resolve.h  names and addresses
 *   process.h  child processes
 *   signal.h   signals of the process
 *   thread.h   calls that block, in worker threads
 *   mark.h     the application's own marks in the record
 *
 * Errors: functions return 0, a count, or -errno; functions that give an object return NULL when
 * out of memory. Threads: one loop per thread; every function is for the loop's thread alone, but
 * for lsc_call_soon_threadsafe(). Times are nanoseconds of CLOCK_MONOTONIC.
 *
 * Ownership, in four words: a function *borrows* an argument (uses it during the call), *takes* it
 * (it is the function's from then on), *gives* a result (the caller must lsc_unref() it), or the
 * text says who *owns* it.
 *
 * Calls that suspend say so. They return -EPERM outside of tasks, and -ECANCELED when the task was
 * asked to end (lsc_cancel()); then clean up and return.
 *
 * Environment, for loops that are made afterwards: LSC_TRACE=0 turns recording off; LSC_DEBUG=1
 * turns debug mode on, which tells on stderr: steps that hold the loop for 100 ms, tasks that were
 * never awaited, errors that were never taken, locks held at a task's end, tasks that are left when
 * their loop ends, and calls from another thread, which it refuses with -EPERM.
 */
#ifndef LOOPSCOPE_LOOPSCOPE_H
#define LOOPSCOPE_LOOPSCOPE_H

#include "loopscope/barrier.h"
#include "loopscope/condition.h"
#include "loopscope/connection.h"
#include "loopscope/event.h"
#include "loopscope/fd.h"
#include "loopscope/file.h"
#include "loopscope/filter.h"
#include "loopscope/future.h"
#include "loopscope/gather.h"
#include "loopscope/group.h"
#include "loopscope/io.h"
#include "loopscope/lock.h"
#include "loopscope/loop.h"
#include "loopscope/mark.h"
#include "loopscope/process.h"
#include "loopscope/queue.h"
#include "loopscope/resolve.h"
#include "loopscope/semaphore.h"
#include "loopscope/server.h"
#include "loopscope/signal.h"
#include "loopscope/stream.h"
#include "loopscope/task.h"
#include "loopscope/thread.h"
#include "loopscope/timeout.h"
#include "loopscope/timer.h"

#endif
