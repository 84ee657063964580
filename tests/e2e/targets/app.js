// SPDX-License-Identifier: MIT
// The protocol of tests/apps/app.h in node. Beside the loop, the pool of libuv has work.
"use strict";
const child = require("child_process");
const fs = require("fs");
const net = require("net");
const { performance } = require("perf_hooks");

const cell = new Int32Array(new SharedArrayBuffer(4));
const BLOCKS = {
	spin: (ns) => { const end = process.hrtime.bigint() + ns; while (process.hrtime.bigint() < end); },
	child: (ns) => child.execSync(`sleep ${Number(ns) / 1e9}`),
	atomics: (ns) => Atomics.wait(cell, 0, 0, Number(ns) / 1e6),
};

function runDelay() {
	return BigInt(fs.readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]);
}

function idled() {
	return BigInt(Math.round(performance.eventLoopUtilization().idle * 1e6));
}

// When the loop's work was looked at last, and how long it had idled by then.
let seen;

function see() {
	seen = { now: process.hrtime.bigint(), idle: idled() };
}

// What the loop has worked since, up to now: before it came to the callback that asks.
function workedSince(now) {
	const worked = now - seen.now - (idled() - seen.idle);
	return worked > 0n ? worked : 0n;
}

// The answer is given when the other callbacks of this turn have run: what they took belongs to the turn.
function obey(line, socket) {
	const [word, kind, ns] = line.split(" ");
	if (word !== "block") {
		socket.write(line.replace("echo ", "") + "\n");
		return;
	}
	const called = process.hrtime.bigint(), before = workedSince(called);
	const delay = runDelay(), begin = process.hrtime.bigint();
	BLOCKS[kind](BigInt(ns));
	const end = process.hrtime.bigint();
	const delayed = runDelay() - delay, over = process.hrtime.bigint(), unsure = begin - called + over - end;
	setImmediate(() => {
		const rest = before + process.hrtime.bigint() - over;
		socket.write(`{"begin_ns": ${begin}, "ns": ${end - begin}, "unsure_ns": ${unsure}, "rest_ns": ${rest}, ` +
			     `"delay_ns": ${delayed}, "tid": ${process.pid}}\n`);
	});
}

const server = net.createServer((socket) => {
	let input = "";
	socket.setNoDelay(true);
	socket.on("error", () => {});
	socket.on("data", (data) => {
		const lines = (input + data).split("\n");
		input = lines.pop();
		for (const line of lines)
			obey(line, socket);
		see();
	});
});
setInterval(() => {
	see();
	fs.stat("/", see);
}, 50);
server.listen(0, "127.0.0.1", () => {
	console.log(JSON.stringify({ port: server.address().port }));
	see();
});
