// SPDX-License-Identifier: MIT
// A node service that makes its functions anew all the time, each from source of its own, and throws
// them away: what lies where a function lay is soon another one. Which calls which is random by the
// seed in the first argument; "end" on stdin has it print all calls that it ever made, as pairs of
// callee and caller.
"use strict";

let state = Number(process.argv[2]);
function random(n) {
	state = (state * 1103515245 + 12345) % 2147483648;
	return Math.floor(state / 65536) % n;
}

const calls = new Set();
const SHAPES = 40;

// Functions of so many places in the source, so that their names differ; all of one shape.
const makers = [];
for (let i = 0; i < SHAPES; i++) {
	const source = `(next, spin) => { const made = { f${i}(depth) {
		spin(depth); return next ? next(depth + 1) : depth; } }; return made.f${i}; }`;
	makers.push([`f${i}`, require("vm").runInThisContext(source, { filename: __filename })]);
}

function spin(depth) {
	const garbage = [];
	const until = process.hrtime.bigint() + 300000n;
	while (process.hrtime.bigint() < until)
		garbage.push({ depth, more: [depth, depth] });
	return garbage.length;
}

function turn() {
	let next = null, below = null;
	for (let n = 0; n < 12; n++) {
		const [name, make] = makers[random(SHAPES)];
		next = make(next, spin);
		if (below)
			calls.add(`${below} ${name}`);
		calls.add(`spin ${name}`);
		below = name;
	}
	calls.add(`${below} turn`);
	for (let n = 0; n < 3; n++)
		next(0);
}

setInterval(turn, 20);
process.stdin.on("data", () => {
	console.log(JSON.stringify([...calls].map((call) => call.split(" "))));
	process.exit(0);
});
console.log("running");
