-- SPDX-License-Identifier: MIT
--
-- From schema 1 to 2: what the application says of itself. The statements are those of schema.sql to the letter.

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

PRAGMA user_version = 2;
