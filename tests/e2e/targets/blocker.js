// SPDX-License-Identifier: MIT
// A node service with a few quiet timers. A line "child SECONDS" on stdin has a timer run
// execSync("sleep SECONDS") and print how long that took by node's own clock.
const { execSync } = require("child_process");

for (let i = 0; i < 5; i++)
	setInterval(() => {}, 20 + i);

function block(seconds) {
	const begin = process.hrtime.bigint();
	execSync(`sleep ${seconds}`);
	const ns = process.hrtime.bigint() - begin;
	console.log(JSON.stringify({ ns: Number(ns) }));
}

process.stdin.on("data", (text) => {
	const [kind, seconds] = String(text).trim().split(" ");
	if (kind === "child")
		setTimeout(block, 50, Number(seconds));
});
process.stdin.on("end", () => process.exit(0));
console.log("running");
