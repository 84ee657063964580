// SPDX-License-Identifier: MIT
// The protocol of tests/apps/app.h in node. Beside the loop, the pool of libuv has work.
"use strict";
const child = require("child_process");
const fs = require("fs");
const net = require("net");

const cell = new Int32Array(new SharedArrayBuffer(4));
const BLOCKS = {
	spin: (ns) => { const end = process.hrtime.bigint() + ns; while (process.hrtime.bigint() < end); },
	child: (ns) => child.execSync(`sleep ${Number(ns) / 1e9}`),
	atomics: (ns) => Atomics.wait(cell, 0, 0, Number(ns) / 1e6),
};

function runDelay() {
	return BigInt(fs.readFileSync("/proc/self/schedstat", "utf8").split(" ")[1]);
}

function obey(line, socket) {
	const [word, kind, ns] = line.split(" ");
	if (word !== "block") {
		socket.write(line.replace("echo ", "") + "\n");
		return;
	}
	const called = process.hrtime.bigint();
	const delay = runDelay(), begin = process.hrtime.bigint();
	BLOCKS[kind](BigInt(ns));
	const end = process.hrtime.bigint();
	const delayed = runDelay() - delay, unsure = begin - called + process.hrtime.bigint() - end;
	socket.write(`{"begin_ns": ${begin}, "ns": ${end - begin}, "unsure_ns": ${unsure}, "delay_ns": ${delayed}, "tid": ${process.pid}}\n`);
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
	});
});
setInterval(() => fs.stat("/", () => {}), 50);
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
