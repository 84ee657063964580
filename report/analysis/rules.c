/* SPDX-License-Identifier: MIT */
/* The table of rules, the most specific first, and what explains a stall. */
#include "analysis/rules.h"

#include <string.h>

#include "analysis/internal.h"
#include "base/clock.h"

#define CONTENTION_CAUSES                                                                          \
	(CAUSE_BIT(LSC_CAUSE_RUNQUEUE) | CAUSE_BIT(LSC_CAUSE_THROTTLED) |                          \
	 CAUSE_BIT(LSC_CAUSE_STEAL))
#define HOST_CAUSES (CONTENTION_CAUSES | CAUSE_BIT(LSC_CAUSE_STOPPED))

const struct rule rule_table[] = {
	{
		.id = "blocking-sleep",
		.summary = "sleeps on the loop: nanosleep, or a poll without descriptors",
		.did = "slept on the loop",
		.causes = CAUSE_BIT(LSC_CAUSE_SLEEP),
		.worst = SEVERITY_ERROR,
		.own = true,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] = "Arm a timer of the loop instead of sleeping in a callback.",
			[FAMILY_ASYNCIO] = "Use `await asyncio.sleep()` instead of `time.sleep()`.",
			[FAMILY_TWISTED] =
				"Use `reactor.callLater()`, or `task.deferLater()`, instead of "
				"`time.sleep()`.",
			[FAMILY_TRIO] = "Use `await trio.sleep()` instead of `time.sleep()`.",
			[FAMILY_GEVENT] = "Use `gevent.sleep()` instead of `time.sleep()`, or "
					  "`gevent.monkey.patch_all()` before all other imports.",
			[FAMILY_NODE] = "Use `await setTimeout()` of `timers/promises` instead of "
					"`Atomics.wait()` or a synchronous sleep.",
			[FAMILY_LIBUV] =
				"Use `uv_timer_start()` instead of sleeping in a callback.",
			[FAMILY_LOOPSCOPE] = "Use `lsc_sleep()` instead of `sleep()` and its kin."},
	},
	{
		.id = "blocking-file-io",
		.summary = "waits for a file on the loop",
		.did = "waited for file I/O on the loop",
		.causes = CAUSE_BIT(LSC_CAUSE_FILE_IO),
		.worst = SEVERITY_ERROR,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] = "Hand file I/O to a thread or to io_uring; fsync belongs in a "
				     "background thread.",
			[FAMILY_ASYNCIO] = "Run it with `await asyncio.to_thread(...)`.",
			[FAMILY_TWISTED] = "Run it with `threads.deferToThread(...)`.",
			[FAMILY_TRIO] = "Run it with `await trio.to_thread.run_sync(...)`, or use "
					"`trio.open_file()`.",
			[FAMILY_GEVENT] =
				"Run it with `gevent.get_hub().threadpool.apply(...)`: no patch "
				"makes files wait.",
			[FAMILY_NODE] = "Use `fs.promises` instead of the `*Sync` calls.",
			[FAMILY_LIBUV] = "Use `uv_fs_*` with a callback, or `uv_queue_work()`.",
			[FAMILY_LOOPSCOPE] =
				"Use `lsc_read()` and `lsc_write()`, and `lsc_to_thread()` for the "
				"rest: open, stat, fsync."},
	},
	{
		.id = "blocking-network-io",
		.summary = "waits for one socket on the loop",
		.did = "waited for the network on the loop",
		.causes = CAUSE_BIT(LSC_CAUSE_NETWORK_IO),
		.worst = SEVERITY_ERROR,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] = "Make the socket non-blocking (O_NONBLOCK) and let the loop "
				     "wait for "
				     "it; resolve names in a thread.",
			[FAMILY_ASYNCIO] =
				"Use an asyncio client (`asyncio.open_connection()`, an async "
				"driver), or `await asyncio.to_thread(...)`.",
			[FAMILY_TWISTED] =
				"Use a client for Twisted (`twisted.internet.endpoints`, `treq`), "
				"or `threads.deferToThread(...)`.",
			[FAMILY_TRIO] =
				"Use a client for trio (`trio.open_tcp_stream()`, `httpx`), or "
				"`await trio.to_thread.run_sync(...)`.",
			[FAMILY_GEVENT] =
				"Use `gevent.socket`, or `gevent.monkey.patch_all()` before all "
				"other imports; call clients in C in "
				"`gevent.get_hub().threadpool.apply(...)`.",
			[FAMILY_NODE] =
				"Use the asynchronous API of the client; no synchronous request "
				"on the main thread.",
			[FAMILY_LIBUV] = "Use `uv_tcp_connect()`, `uv_read_start()` and "
					 "`uv_getaddrinfo()`.",
			[FAMILY_LOOPSCOPE] =
				"Use `lsc_open_connection()` and its streams, or `lsc_recv()` "
				"and its kin; `lsc_getaddrinfo()` for names."},
	},
	{
		.id = "blocking-child-wait",
		.summary = "waits for a child process on the loop",
		.did = "waited for a child process on the loop",
		.causes = CAUSE_BIT(LSC_CAUSE_CHILD_WAIT),
		.worst = SEVERITY_ERROR,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] =
				"Let the loop wait: a pidfd or SIGCHLD through a signalfd, and "
				"non-blocking pipes.",
			[FAMILY_ASYNCIO] =
				"Use `await asyncio.create_subprocess_exec(...)` instead of "
				"`subprocess.run()`.",
			[FAMILY_TWISTED] =
				"Use `utils.getProcessOutput()` or `reactor.spawnProcess()` "
				"instead of `subprocess.run()`.",
			[FAMILY_TRIO] =
				"Use `await trio.run_process(...)` instead of `subprocess.run()`.",
			[FAMILY_GEVENT] =
				"Use `gevent.subprocess`, or `gevent.monkey.patch_all()` before "
				"all other imports.",
			[FAMILY_NODE] = "Use `execFile()` or `spawn()` instead of `execSync()` or "
					"`spawnSync()`.",
			[FAMILY_LIBUV] = "Use `uv_spawn()` with an exit callback.",
			[FAMILY_LOOPSCOPE] =
				"Start it with `lsc_process_start()` and wait with "
				"`lsc_process_wait()` or `lsc_process_communicate()`."},
	},
	{
		.id = "gil-wait",
		.summary = "waits for Python's global interpreter lock, which another thread holds",
		.did = "waited for the GIL",
		.causes = CAUSE_BIT(LSC_CAUSE_GIL),
		.worst = SEVERITY_ERROR,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] =
				"Move what the other threads compute to other processes, or to "
				"code that releases the GIL.",
			[FAMILY_ASYNCIO] =
				"Compute in a `ProcessPoolExecutor` instead of in threads: "
				"`loop.run_in_executor(pool, ...)`."},
	},
	{
		.id = "blocking-lock",
		.summary = "waits for a lock on the loop",
		.did = "waited for a lock on the loop",
		.causes = CAUSE_BIT(LSC_CAUSE_LOCK),
		.worst = SEVERITY_ERROR,
		.own = true,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] = "Shorten what the owner does under the lock, or pass a "
				     "message to the "
				     "loop instead of sharing state with it.",
			[FAMILY_ASYNCIO] =
				"Use `asyncio.Lock` among tasks; take a `threading.Lock`, or a "
				"lock on a file, only in `await asyncio.to_thread(...)`.",
			[FAMILY_TWISTED] = "Use `defer.DeferredLock` on the reactor; take a "
					   "`threading.Lock`, or a lock on a file, only in "
					   "`threads.deferToThread(...)`.",
			[FAMILY_TRIO] =
				"Use `trio.Lock` among tasks; take a `threading.Lock`, or a lock "
				"on a file, only in `await trio.to_thread.run_sync(...)`.",
			[FAMILY_GEVENT] =
				"Use `gevent.lock.RLock` among greenlets; take a lock that other "
				"threads hold only in `gevent.get_hub().threadpool.apply(...)`.",
			[FAMILY_NODE] =
				"Use `Atomics.waitAsync()`, or post a message between the workers.",
			[FAMILY_LIBUV] =
				"Pass messages with `uv_async_send()` instead of sharing a mutex "
				"with the loop.",
			[FAMILY_LOOPSCOPE] =
				"Use `lsc_lock_acquire()` among tasks; let other threads hand over "
				"with "
				"`lsc_call_soon_threadsafe()` instead of sharing a lock with the "
				"loop."},
	},
	{
		.id = "page-fault",
		.summary = "waits on the loop for memory that has to be read from a disk",
		.did = "waited for a page",
		.causes = CAUSE_BIT(LSC_CAUSE_PAGE_FAULT),
		.worst = SEVERITY_ERROR,
		.check = rule_check_blocks,
		.fix = {[FAMILY_C] = "Read or populate what is mapped (`MAP_POPULATE`, "
				     "`madvise(MADV_WILLNEED)`) in a thread before the loop needs "
				     "it; give the process enough memory not to be swapped out.",
			[FAMILY_ASYNCIO] =
				"Touch memory-mapped data in `await asyncio.to_thread(...)` first; "
				"give the process enough memory not to be swapped out."},
	},
	{
		.id = "slow-iteration",
		.summary =
			"one turn of the loop runs many short callbacks, for 50 ms or more in all",
		.did = "ran many short callbacks in one turn",
		.causes = (CAUSE_BIT(LSC_CAUSE_COUNT) - 1) & ~HOST_CAUSES,
		.min_ns = 50 * LSC_NS_PER_MS,
		.worst = SEVERITY_ERROR,
		.explains = rule_is_slow_iteration,
		.check = rule_check_iteration,
		.fix = {[FAMILY_C] = "Take fewer events a turn, or spread the work over several "
				     "loops: no single callback is to blame.",
			[FAMILY_ASYNCIO] = "Bound what becomes ready at once (a semaphore, smaller "
					   "batches), or spread it over processes.",
			[FAMILY_NODE] = "Bound what becomes ready at once, or spread it over "
					"workers (`cluster`, `worker_threads`).",
			[FAMILY_LOOPSCOPE] = "Bound how many tasks become ready at once, or spread "
					     "them over several loops."},
	},
	{
		.id = "cpu-hog",
		.summary = "one turn of the loop computes for 50 ms or more",
		.did = "computed without yielding",
		.causes = CPU_CAUSES,
		.min_ns = 50 * LSC_NS_PER_MS,
		.worst = SEVERITY_ERROR,
		.check = rule_check_cpu,
		.fix = {[FAMILY_C] =
				"Cut the work into slices that return to the loop, or move it to a "
				"thread.",
			[FAMILY_ASYNCIO] =
				"Move it to a process pool (`loop.run_in_executor()`), or yield "
				"with `await asyncio.sleep(0)` between slices.",
			[FAMILY_TWISTED] = "Move it to another process, or cut it into slices with "
					   "`task.cooperate()`.",
			[FAMILY_TRIO] =
				"Move it to another process, or yield with `await trio.sleep(0)` "
				"between slices.",
			[FAMILY_GEVENT] =
				"Move it to another process, or yield with `gevent.sleep(0)` "
				"between slices.",
			[FAMILY_NODE] = "Use the asynchronous form of a `*Sync` call, move it to a "
					"`worker_threads` worker, or yield with `setImmediate()` "
					"between slices.",
			[FAMILY_LIBUV] =
				"Move it to `uv_queue_work()`, or continue from a `uv_idle_t` in "
				"slices.",
			[FAMILY_LOOPSCOPE] =
				"Compute in `lsc_to_thread()`, or yield with `lsc_yield()` between "
				"slices."},
	},
	{
		.id = "host-contention",
		.summary = "the loop was runnable but got no CPU: run queue, throttling, steal",
		.did = "was runnable but got no CPU",
		.causes = CONTENTION_CAUSES,
		.worst = SEVERITY_WARNING,
		.host = true,
		.check = rule_check_host,
		.fix = {[FAMILY_C] =
				"Give the process more CPU: fewer busy neighbours, a higher cgroup "
				"quota, a CPU of its own. The program is not at fault."},
	},
	{
		.id = "stopped",
		.summary = "the loop was stopped: SIGSTOP, a debugger, a suspended machine",
		.did = "was stopped",
		.causes = CAUSE_BIT(LSC_CAUSE_STOPPED),
		.worst = SEVERITY_WARNING,
		.host = true,
		.check = rule_check_stalls,
		.fix = {[FAMILY_C] = "Find who sent SIGSTOP, attached a debugger or suspended the "
				     "machine. "
				     "The program is not at fault."},
	},
	{
		.id = "loop-stall",
		.summary = "the loop was held, and no more specific rule says why",
		.did = "held the loop",
		.causes = UINT32_MAX,
		.worst = SEVERITY_ERROR,
		.check = rule_check_stalls,
		.fix = {[FAMILY_C] =
				"Look at the split and the stacks of the stalls: no more specific "
				"rule explains them.",
			[FAMILY_ASYNCIO] =
				"Look at the split and the stacks of the stalls; run what "
				"waits with `await asyncio.to_thread(...)`.",
			[FAMILY_TWISTED] =
				"Look at the split and the stacks of the stalls; run what waits "
				"with `threads.deferToThread(...)`.",
			[FAMILY_TRIO] =
				"Look at the split and the stacks of the stalls; run what waits "
				"with `await trio.to_thread.run_sync(...)`.",
			[FAMILY_GEVENT] =
				"Look at the split and the stacks of the stalls; run what waits "
				"with `gevent.get_hub().threadpool.apply(...)`.",
			[FAMILY_NODE] = "Look at the split and the stacks of the stalls; use "
					"`fs.promises`, or another asynchronous form, instead of "
					"the `*Sync` calls.",
			[FAMILY_LIBUV] = "Look at the split and the stacks of the stalls; run what "
					 "waits with `uv_queue_work()`.",
			[FAMILY_LOOPSCOPE] =
				"Look at the split and the stacks of the stalls; run what "
				"waits with `lsc_to_thread()`."},
	},
	{
		.id = "starvation",
		.summary = "something could run and had to wait more than 5 ms for its turn",
		.did = "kept others waiting",
		.worst = SEVERITY_ERROR,
		.check = rule_check_starvation,
		.fix = {[FAMILY_C] = "Shorten what held the loop, or let it yield: those that "
				     "waited are "
				     "not at fault."},
	},
	{
		.id = "blind",
		.summary = "the capture could not see enough to be relied on",
		.did = "could not see enough",
		.worst = SEVERITY_WARNING,
		.check = rule_check_blind,
		.fix = {[FAMILY_C] = "`loopscope doctor -p PID` says what is missing here and what "
				     "would give it. A loop that hangs the whole time is not met: "
				     "`loopscope ps PID` shows what its tasks are in."},
	},
};

const size_t rule_count = sizeof(rule_table) / sizeof(rule_table[0]);

const struct rule *rule_of(const char *id)
{
	const struct rule *r = rule_table;

	while (strcmp(r->id, id) != 0)
		r++;
	return r;
}

uint64_t rule_share(const struct rule *r, const struct store_stall *stall)
{
	uint64_t ns = 0;

	for (int c = 0; c < LSC_CAUSE_COUNT; c++)
		if (r->causes & CAUSE_BIT(c))
			ns = add_sat(ns, stall->split[c]);
	return ns;
}

enum severity rule_severity(const struct rule *r, uint64_t ns)
{
	enum severity s = severity_of(ns);

	return s < r->worst ? s : r->worst;
}

bool rule_could_explain(const struct analysis *a, const struct rule *r,
			const struct analysis_stall *s)
{
	const struct store_stall *stall = &s->row;
	uint64_t ns = rule_share(r, stall);

	return ns && ns >= r->min_ns &&
	       (ns >= stall->duration_ns || ns >= stall->duration_ns - ns) &&
	       (!r->explains || r->explains(a, s));
}

/* loop-stall takes every cause, and so the rest. */
const struct rule *rules_explaining(const struct analysis *a, const struct analysis_stall *s)
{
	const struct rule *r = rule_table;

	while (r->causes != UINT32_MAX && !rule_could_explain(a, r, s))
		r++;
	return r;
}

int rules_run(struct analysis *a)
{
	for (size_t i = 0; i < a->nstalls; i++) {
		struct analysis_stall *s = &a->stalls[i];

		s->severity = rule_severity(s->rule, s->row.duration_ns);
	}
	for (size_t i = 0; i < rule_count; i++) {
		int r = rule_table[i].check(a, &rule_table[i]);

		if (r < 0)
			return r;
	}
	return finding_finish_all(a);
}
