-- SPDX-License-Identifier: MIT
--
-- The loopscope capture (*.lsc), schema version 3. This file is compiled into the store and is the
-- reference for the format; docs/schema.md has examples.
--
-- Tables have singular names and raw values. Views have plural names and are made for people: times in
-- milliseconds since the capture's start, names in place of numbers.
--
--     sqlite3 -box x.lsc 'SELECT * FROM stalls'
--
-- Conventions
--     *_ns     times are CLOCK_MONOTONIC of the captured host, durations nanoseconds. None of
--              them is above 2^63 - 1; addresses of the kernel are, and appear as negative numbers.
--     ids      positive, chosen by the writer; NULL in a reference means "none" or "unknown"
--     text     NULL means unknown; the bytes are those that the target gave, not always UTF-8
--     hist     a histogram of durations packed as described in docs/schema.md

PRAGMA application_id = 0x4c534331; -- "LSC1"
PRAGMA user_version = 3;

-- What is said once about the whole capture. Keys are listed in store/store.h (STORE_META_*) and in
-- docs/schema.md; readers ignore those that they do not know.
CREATE TABLE meta(
	key   TEXT NOT NULL PRIMARY KEY, -- "capture.start_ns", "host.kernel", ...
	value TEXT NOT NULL              -- numbers in decimal
) STRICT, WITHOUT ROWID;

-- The names of the causes, so that the file explains itself.
CREATE TABLE cause(
	id   INTEGER PRIMARY KEY, -- enum lsc_cause; values are never renumbered
	name TEXT NOT NULL        -- "sleep", "file-io", ...
) STRICT;

-- A process under watch.
CREATE TABLE target(
	id              INTEGER PRIMARY KEY,
	pid             INTEGER NOT NULL, -- in the namespace of the loopscope that wrote this
	ns_pid          INTEGER NOT NULL, -- as the process sees itself; 0 unknown
	comm            TEXT,
	exe             TEXT,
	runtime         TEXT,             -- "python", "node", ...
	runtime_version TEXT,
	cgroup          TEXT,
	first_ns        INTEGER NOT NULL, -- watched from
	last_ns         INTEGER NOT NULL  -- ... to
) STRICT;

-- An event loop: a thread together with the waits in which it idles.
CREATE TABLE loop(
	id           INTEGER PRIMARY KEY,
	target       INTEGER,          -- target.id
	tid          INTEGER NOT NULL,
	comm         TEXT,             -- of the thread
	source       INTEGER NOT NULL, -- 1 kernel events, 2 the loop's own ring, 3 both
	runtime      TEXT,
	wait_syscall TEXT,             -- the primary wait
	wait_fd      INTEGER NOT NULL, -- its descriptor; -1 none
	first_ns     INTEGER NOT NULL,
	last_ns      INTEGER NOT NULL,
	ticks        INTEGER NOT NULL,
	busy_ns      INTEGER NOT NULL,
	idle_ns      INTEGER NOT NULL,
	runqueue_ns  INTEGER NOT NULL,
	stall_count  INTEGER NOT NULL,
	stalled_ns   INTEGER NOT NULL,
	lag          BLOB,             -- hist: how late the loop was for a new event
	lag_p50_ns   INTEGER,          -- the three most asked values of lag
	lag_p99_ns   INTEGER,
	lag_max_ns   INTEGER
) STRICT;

-- A task of a loop; a callback where the runtime has no tasks.
CREATE TABLE task(
	id                INTEGER PRIMARY KEY,
	loop              INTEGER,          -- loop.id
	ring_id           INTEGER NOT NULL, -- the task's number in its ring; 0 none
	name              TEXT,
	kind              INTEGER NOT NULL, -- 0 task, 1 callback
	spawn_function    TEXT,             -- where it was created
	spawn_file        TEXT,
	spawn_line        INTEGER NOT NULL, -- 0 unknown
	parent            INTEGER,          -- task.id
	state             TEXT,             -- created ready running suspended done cancelled failed
	waiting_on        TEXT,             -- "timer", "fd 7", ...; NULL when not suspended
	awaits            INTEGER,          -- task.id
	created_ns        INTEGER NOT NULL, -- 0 unknown
	ended_ns          INTEGER NOT NULL, -- 0 alive when the capture ended
	steps             INTEGER NOT NULL,
	run_ns            INTEGER NOT NULL,
	max_step_ns       INTEGER NOT NULL,
	ready_wait        BLOB,             -- hist: from ready to running
	ready_wait_p50_ns INTEGER,
	ready_wait_p99_ns INTEGER,
	ready_wait_max_ns INTEGER
) STRICT;

-- A turn of a loop (a tick) that took longer than the threshold.
CREATE TABLE stall(
	id              INTEGER PRIMARY KEY,
	loop            INTEGER,          -- loop.id
	start_ns        INTEGER NOT NULL,
	duration_ns     INTEGER NOT NULL,
	duration_min_ns INTEGER NOT NULL, -- bounds: without precise mode a busy period may hold several ticks
	duration_max_ns INTEGER NOT NULL,
	mode            INTEGER NOT NULL, -- 0 default, 1 precise, 2 fentry, 3 ring
	in_progress     INTEGER NOT NULL, -- 1: still open when the capture ended
	inferred        INTEGER NOT NULL, -- 1: concluded, 0: seen as such
	task            INTEGER,          -- task.id of the culprit
	stack           INTEGER           -- stack.id: of the longest block, else of the heaviest sample
) STRICT;

-- How the time of a stall divides among the causes. Sums to stall.duration_ns; zeros are left out.
CREATE TABLE stall_split(
	stall INTEGER NOT NULL, -- stall.id
	cause INTEGER NOT NULL, -- cause.id
	ns    INTEGER NOT NULL,
	PRIMARY KEY(stall, cause)
) STRICT, WITHOUT ROWID;

-- The steps of one task within one stall, added up.
CREATE TABLE culprit(
	stall INTEGER NOT NULL, -- stall.id
	task  INTEGER NOT NULL, -- task.id
	ns    INTEGER NOT NULL,
	PRIMARY KEY(stall, task)
) STRICT, WITHOUT ROWID;

-- Time off the CPU inside a tick.
CREATE TABLE block(
	id            INTEGER PRIMARY KEY,
	loop          INTEGER,          -- loop.id
	stall         INTEGER,          -- stall.id; NULL outside of any
	task          INTEGER,          -- task.id
	start_ns      INTEGER NOT NULL,
	duration_ns   INTEGER NOT NULL,
	count         INTEGER NOT NULL, -- waits added up in this row, mostly 1
	syscall       TEXT,             -- NULL: not in a system call (a page fault)
	cause         INTEGER NOT NULL, -- cause.id
	inferred      INTEGER NOT NULL, -- 1: the cause was concluded
	args          TEXT,             -- decoded arguments, a JSON object
	resource_kind TEXT,             -- file socket pipe timer lock child memory
	path          TEXT,
	peer          TEXT,
	proto         TEXT,
	resource_pid  INTEGER NOT NULL, -- of a child; 0 none
	resource_comm TEXT,
	requested_ns  INTEGER NOT NULL, -- the length of a sleep; 0 unknown
	owner_tid     INTEGER NOT NULL, -- of a lock; 0 unknown
	owner_comm    TEXT,
	owner_stack   INTEGER,          -- stack.id
	waker_pid     INTEGER NOT NULL, -- who ended the wait; 0 unknown
	waker_comm    TEXT,
	stack         INTEGER,          -- stack.id
	kernel_stack  INTEGER           -- stack.id
) STRICT;

-- A sample of the CPU inside a long tick.
CREATE TABLE sample(
	id     INTEGER PRIMARY KEY,
	loop   INTEGER,          -- loop.id
	stall  INTEGER,          -- stall.id; NULL outside of any
	task   INTEGER,          -- task.id
	ts_ns  INTEGER NOT NULL,
	ns     INTEGER NOT NULL, -- the time that it stands for
	kernel INTEGER NOT NULL, -- 1: taken in kernel mode
	stack  INTEGER           -- stack.id
) STRICT;

-- Something could run at ready_ns and had to wait. Only long waits are recorded one by one.
CREATE TABLE wait(
	id       INTEGER PRIMARY KEY,
	loop     INTEGER,          -- loop.id
	kind     INTEGER NOT NULL, -- 0 task, 1 socket, 2 timer
	task     INTEGER,          -- task.id, for a task
	fd       INTEGER NOT NULL, -- for a socket; -1 none
	peer     TEXT,
	name     TEXT,
	ready_ns INTEGER NOT NULL,
	wait_ns  INTEGER NOT NULL
) STRICT;

-- A call stack, stored once however often it was seen.
CREATE TABLE stack(
	id        INTEGER PRIMARY KEY,
	truncated INTEGER NOT NULL -- 1: outer frames are missing
) STRICT;

-- Its frames.
CREATE TABLE frame(
	stack    INTEGER NOT NULL, -- stack.id
	depth    INTEGER NOT NULL, -- 0 is the leaf
	lang     INTEGER NOT NULL, -- 0 native, 1 python, 2 js, 3 kernel
	function TEXT,
	file     TEXT,
	line     INTEGER NOT NULL, -- 0 unknown
	module   TEXT,             -- path of the binary
	build_id TEXT,             -- hex
	offset   INTEGER NOT NULL, -- in the module's file; the address where there is no module
	inlined  INTEGER NOT NULL,
	PRIMARY KEY(stack, depth)
) STRICT, WITHOUT ROWID;

-- Task transitions, some thousands a row, packed as described in docs/schema.md.
CREATE TABLE chunk(
	id       INTEGER PRIMARY KEY,
	loop     INTEGER,          -- loop.id
	first_ns INTEGER NOT NULL,
	last_ns  INTEGER NOT NULL,
	count    INTEGER NOT NULL, -- transitions in it
	data     BLOB NOT NULL     -- at most 64 KiB
) STRICT;

-- How exactly a loop was watched, and when.
CREATE TABLE mode(
	id      INTEGER PRIMARY KEY,
	loop    INTEGER,
	from_ns INTEGER NOT NULL,
	to_ns   INTEGER NOT NULL,
	mode    INTEGER NOT NULL -- 0 default, 1 precise, 2 fentry, 3 ring
) STRICT;

-- What the bound on overhead made the collector leave out, and when.
CREATE TABLE step(
	id    INTEGER PRIMARY KEY,
	ts_ns INTEGER NOT NULL,
	what  TEXT NOT NULL
) STRICT;

-- The ledger: emitted = stored + the sum of n. Reasons without a loss have no row or n = 0.
CREATE TABLE loss(
	id   INTEGER PRIMARY KEY, -- enum lsc_loss; values are never renumbered
	name TEXT NOT NULL,       -- "bpf-ring-full", ...
	n    INTEGER NOT NULL
) STRICT;

-- What this capture could not see at all.
CREATE TABLE unseen(
	what TEXT NOT NULL,
	why  TEXT NOT NULL,
	PRIMARY KEY(what, why)
) STRICT, WITHOUT ROWID;

-- What was seen but could not be named.
CREATE TABLE unresolved(
	what TEXT NOT NULL,
	why  TEXT NOT NULL,
	n    INTEGER NOT NULL, -- how often
	PRIMARY KEY(what, why)
) STRICT, WITHOUT ROWID;

-- A moment that the application gave a name to: lsc_trace_mark().
CREATE TABLE mark(
	id    INTEGER PRIMARY KEY,
	loop  INTEGER,          -- loop.id
	task  INTEGER,          -- task.id: in whose step; NULL outside of any, or unknown
	ts_ns INTEGER NOT NULL,
	text  TEXT              -- NULL: none, or it was lost
) STRICT;

-- A counter of the application, summed up: lsc_trace_counter().
CREATE TABLE counter(
	id       INTEGER PRIMARY KEY,
	loop     INTEGER,          -- loop.id
	name     TEXT NOT NULL,
	count    INTEGER NOT NULL, -- how often it was set while captured; 0: it only had its value from before
	first_ns INTEGER NOT NULL, -- when it was set first, as far as is known
	last_ns  INTEGER NOT NULL, -- ... and last
	last     INTEGER NOT NULL, -- its value at the end
	min      INTEGER NOT NULL, -- the least it had while captured, its value at the start included
	max      INTEGER NOT NULL  -- ... and the greatest
) STRICT;

-- How much stack the tasks spawned at one place used at most, as a loop of our library measures it in its
-- debug mode. The number is the process's: two of its loops may both tell it.
CREATE TABLE site_stack(
	id       INTEGER PRIMARY KEY,
	loop     INTEGER,          -- loop.id: which told it
	function TEXT,             -- where the tasks are spawned
	file     TEXT,
	line     INTEGER NOT NULL, -- 0 unknown
	used     INTEGER NOT NULL, -- bytes
	size     INTEGER NOT NULL  -- of the stack that so much was used of; 0 unknown
) STRICT;

-- The capture's start, from which the other views count. One row.
CREATE VIEW origin AS
SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'capture.start_ns'), 0) AS ns;

-- Event loops with their share of busy time and their lag.
CREATE VIEW loops AS
SELECT l.id, g.pid, l.tid, coalesce(l.comm, g.comm) AS comm, coalesce(l.runtime, g.runtime) AS runtime,
	l.wait_syscall, nullif(l.wait_fd, -1) AS wait_fd,
	CASE l.source WHEN 1 THEN 'bpf' WHEN 2 THEN 'ring' WHEN 3 THEN 'both' END AS source, l.ticks,
	round(100.0 * l.busy_ns / nullif(l.busy_ns + l.idle_ns, 0), 2) AS busy_pct,
	round(l.lag_p50_ns / 1e6, 3) AS lag_p50_ms, round(l.lag_p99_ns / 1e6, 3) AS lag_p99_ms,
	round(l.lag_max_ns / 1e6, 3) AS lag_max_ms,
	l.stall_count AS stalls, round(l.stalled_ns / 1e6, 3) AS stalled_ms
FROM loop l LEFT JOIN target g ON g.id = l.target;

-- Stalls: when, how long, why, who. "function" is the innermost named frame of the stack.
CREATE VIEW stalls AS
SELECT s.id, round((s.start_ns - o.ns) / 1e6, 3) AS start_ms, round(s.duration_ns / 1e6, 3) AS duration_ms,
	(SELECT coalesce(c.name, 'other') FROM stall_split p LEFT JOIN cause c ON c.id = p.cause
	 WHERE p.stall = s.id ORDER BY p.ns DESC, p.cause LIMIT 1) AS cause,
	(SELECT group_concat(coalesce(c.name, 'other') || ' ' || round(p.ns / 1e6, 3), ', ')
	 FROM stall_split p LEFT JOIN cause c ON c.id = p.cause WHERE p.stall = s.id) AS split_ms,
	t.name AS task,
	(SELECT f.function FROM frame f WHERE f.stack = s.stack AND f.function IS NOT NULL
	 ORDER BY f.module LIKE '%/libc.so%' OR f.module LIKE '%/ld-%' OR f.module = '[vdso]', f.depth
	 LIMIT 1) AS function, -- behind the C library's wrapper
	CASE s.inferred WHEN 0 THEN 'observed' ELSE 'inferred' END AS confidence,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM stall s CROSS JOIN origin o LEFT JOIN loop l ON l.id = s.loop LEFT JOIN target g ON g.id = l.target
	LEFT JOIN task t ON t.id = s.task
ORDER BY s.start_ns;

-- Blocks: the call, what it waited for, who ended the wait.
CREATE VIEW blocks AS
SELECT b.id, b.stall, round((b.start_ns - o.ns) / 1e6, 3) AS start_ms,
	round(b.duration_ns / 1e6, 3) AS duration_ms, b.count, coalesce(c.name, 'other') AS cause,
	b.syscall, b.args, b.resource_kind AS resource,
	coalesce(b.path, b.peer, b.resource_comm) AS resource_name, t.name AS task,
	(SELECT f.function FROM frame f WHERE f.stack = b.stack AND f.function IS NOT NULL
	 ORDER BY f.module LIKE '%/libc.so%' OR f.module LIKE '%/ld-%' OR f.module = '[vdso]', f.depth
	 LIMIT 1) AS function, -- behind the C library's wrapper
	nullif(b.waker_pid, 0) AS waker_pid, b.waker_comm, g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM block b CROSS JOIN origin o LEFT JOIN cause c ON c.id = b.cause LEFT JOIN loop l ON l.id = b.loop
	LEFT JOIN target g ON g.id = l.target LEFT JOIN task t ON t.id = b.task
ORDER BY b.start_ns;

-- Tasks: where from, what they do now, what they cost.
CREATE VIEW tasks AS
SELECT t.id, t.name, CASE t.kind WHEN 0 THEN 'task' WHEN 1 THEN 'callback' END AS kind,
	t.spawn_function AS function, t.spawn_file AS file, nullif(t.spawn_line, 0) AS line,
	p.name AS parent, t.state, t.waiting_on, a.name AS awaits,
	round((nullif(t.created_ns, 0) - o.ns) / 1e6, 3) AS created_ms,
	round((nullif(t.ended_ns, 0) - o.ns) / 1e6, 3) AS ended_ms,
	t.steps, round(t.run_ns / 1e6, 3) AS run_ms, round(t.max_step_ns / 1e6, 3) AS max_step_ms,
	round(t.ready_wait_p99_ns / 1e6, 3) AS ready_wait_p99_ms,
	round(t.ready_wait_max_ns / 1e6, 3) AS ready_wait_max_ms, g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM task t CROSS JOIN origin o LEFT JOIN task p ON p.id = t.parent LEFT JOIN task a ON a.id = t.awaits
	LEFT JOIN loop l ON l.id = t.loop LEFT JOIN target g ON g.id = l.target;

-- Who waited through which stall: the recorded waits of the stall's loop that overlap it.
CREATE VIEW victims AS
SELECT s.id AS stall, CASE w.kind WHEN 0 THEN 'task' WHEN 1 THEN 'socket' WHEN 2 THEN 'timer' END AS kind,
	coalesce(w.name, t.name) AS name, nullif(w.fd, -1) AS fd, w.peer,
	round((w.ready_ns - o.ns) / 1e6, 3) AS ready_ms, round(w.wait_ns / 1e6, 3) AS wait_ms,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM stall s CROSS JOIN origin o
	JOIN wait w ON w.loop = s.loop AND w.ready_ns < s.start_ns + s.duration_ns
		AND w.ready_ns + w.wait_ns > s.start_ns
	LEFT JOIN task t ON t.id = w.task LEFT JOIN loop l ON l.id = s.loop
	LEFT JOIN target g ON g.id = l.target
ORDER BY s.start_ns, w.wait_ns DESC;

-- What the application said, by time.
CREATE VIEW marks AS
SELECT m.id, round((m.ts_ns - o.ns) / 1e6, 3) AS at_ms, m.text, t.name AS task,
	(SELECT s.id FROM stall s WHERE s.loop = m.loop AND s.start_ns <= m.ts_ns
		AND m.ts_ns <= s.start_ns + s.duration_ns LIMIT 1) AS stall,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM mark m CROSS JOIN origin o LEFT JOIN task t ON t.id = m.task LEFT JOIN loop l ON l.id = m.loop
	LEFT JOIN target g ON g.id = l.target
ORDER BY m.ts_ns, m.id;

-- Its counters.
CREATE VIEW counters AS
SELECT c.id, c.name, c.last, c.min, c.max, c.count, round((c.last_ns - o.ns) / 1e6, 3) AS set_ms,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM counter c CROSS JOIN origin o LEFT JOIN loop l ON l.id = c.loop LEFT JOIN target g ON g.id = l.target;

-- Use of stacks by spawn site.
CREATE VIEW site_stacks AS
SELECT s.id, s.function, s.file, nullif(s.line, 0) AS line, round(s.used / 1024.0, 1) AS used_kib,
	round(nullif(s.size, 0) / 1024.0, 1) AS size_kib, round(100.0 * s.used / nullif(s.size, 0), 1) AS used_pct,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM site_stack s LEFT JOIN loop l ON l.id = s.loop LEFT JOIN target g ON g.id = l.target;
