-- SPDX-License-Identifier: MIT
--
-- From schema 2 to 3: the use of stacks. The statements are those of schema.sql to the letter.

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

-- Use of stacks by spawn site.
CREATE VIEW site_stacks AS
SELECT s.id, s.function, s.file, nullif(s.line, 0) AS line, round(s.used / 1024.0, 1) AS used_kib,
	round(nullif(s.size, 0) / 1024.0, 1) AS size_kib, round(100.0 * s.used / nullif(s.size, 0), 1) AS used_pct,
	g.pid, l.tid, coalesce(l.comm, g.comm) AS comm
FROM site_stack s LEFT JOIN loop l ON l.id = s.loop LEFT JOIN target g ON g.id = l.target;

PRAGMA user_version = 3;
