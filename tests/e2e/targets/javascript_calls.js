// SPDX-License-Identifier: MIT
// A node service that runs other people's functions. A line on stdin is a JSON object: the `kind` of
// what holds the loop, `ms` for how long (of json also `bytes` to parse instead), a `module` whose `entry` is called with the host, and
// whether it is `warm`: called until it is compiled, before it holds anything. What is called by
// host.note() at the deepest place is told back as node itself has it: of each function on the
// stack its name, its script and the line where it begins.
//
//     javascript_calls.js [ADDON]
//
// ADDON: what host.addon is. With --expose-gc all that is young is moved right after the loop was
// held, and something else lies in its place.
"use strict";
const childProcess = require("child_process");
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const readline = require("readline");

Error.stackTraceLimit = Infinity;

const WARM_CALLS = 20000;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lsc-js-"));
process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
const quiet = path.join(folder, "quiet");
fs.writeFileSync(quiet, "x");
const fifo = path.join(folder, "fifo");
childProcess.execFileSync("mkfifo", [fifo]);

for (let i = 0; i < 5; i++)
	setInterval(() => {}, 20 + i);

function milliseconds(call) {
	const begin = process.hrtime.bigint();
	call();
	return Number(process.hrtime.bigint() - begin) / 1e6;
}

// How much of something takes so long: less of it is measured, three times, and scaled.
function amount(ms, some, call) {
	const took = Math.min(...[1, 2, 3].map(() => milliseconds(() => call(some))));
	return Math.ceil(some * ms / took);
}

// What a function gets of the host: of no weight while it is warmed up, then what takes its time.
const quietly = { file: quiet, command: "true", rounds: 1, text: "[1]", ms: 0, line: "aab" };
const pattern = /^(a+)+$/;

function weigh(kind, ms, bytes) {
	const real = { ...quietly, ms };
	if (kind === "fifo") {
		real.file = fifo;
	} else if (kind === "child") {
		real.command = `sleep ${ms / 1000}`;
	} else if (kind === "hash") {
		real.rounds = amount(ms, 4000, (n) => crypto.pbkdf2Sync("secret", "salt", n, 64, "sha512"));
	} else if (kind === "rounds") {
		real.rounds = amount(1, 400, (n) => crypto.pbkdf2Sync("secret", "salt", n, 64, "sha512"));
	} else if (kind === "json") {
		const text = (n) => `[${"{\"name\":[1,2,3],\"text\":\"some\"},".repeat(n)}1]`;
		real.text = text(bytes ? Math.ceil(bytes / text(1).length)
			: amount(ms, 20000, (n) => JSON.parse(text(n))));
	} else if (kind === "regexp") {
		let n = 16; // each letter more takes twice as long
		while (milliseconds(() => pattern.test("a".repeat(n) + "b")) < ms / 2)
			n++;
		real.line = "a".repeat(n) + "b";
	}
	return real;
}

const host = {
	fs, childProcess, crypto, pattern,
	addon: null,
	told: null,
	note() {
		if (this.told)
			return;
		const plain = Error.prepareStackTrace;
		Error.prepareStackTrace = (_, sites) => sites.map(
			(site) => [site.getFunctionName(), site.getFileName(), site.getEnclosingLineNumber()]);
		this.told = new Error().stack.slice(1);
		Error.prepareStackTrace = plain;
	},
};

async function run(order) {
	const module = order.module.endsWith(".mjs") ? await import(order.module) : require(order.module);
	const entry = module[order.entry];

	Object.assign(host, quietly, { told: [] });
	for (let i = 0; order.warm && i < (order.kind === "child" ? 30 : WARM_CALLS); i++)
		entry(host);
	const real = weigh(order.kind, order.ms, order.bytes);
	setTimeout(function held() {
		Object.assign(host, real, { told: null });
		if (order.kind === "fifo")
			childProcess.spawn("sh", ["-c", `sleep ${order.ms / 1000}; echo x > ${fifo}`], { stdio: "ignore" });
		const ns = 1e6 * milliseconds(function () {
			entry(host);
		});
		for (let i = 0; global.gc && i < 2; i++) {
			global.gc();
			host.garbage = Array.from({ length: 50000 }, (_, n) => [n]);
		}
		console.log(JSON.stringify({ ...order, ns, stack: host.told }));
	}, 200);
}

if (process.argv[2]) {
	const loaded = { exports: {} };
	process.dlopen(loaded, process.argv[2]); // whatever its name ends in
	host.addon = loaded.exports;
}
readline.createInterface({ input: process.stdin })
	.on("line", (line) => run(JSON.parse(line)))
	.on("close", () => process.exit(0));
console.log("running");
