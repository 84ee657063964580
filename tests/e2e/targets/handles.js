// SPDX-License-Identifier: MIT
// Timers, servers and sockets. Arguments: how many servers, clients, timers. When all are there it prints what node
// says of them, and between which two moments of the monotonic clock its first timer is due.
const net = require('net');

const [servers, clients, timers] = process.argv.slice(2).map(Number);
const sockets = [];
const listening = [];

function turn() { // of the loop: its time is not older than this moment
  return new Promise((done) => setImmediate(done));
}

function ends(socket) {
  return [`${socket.localAddress}:${socket.localPort}`, `${socket.remoteAddress}:${socket.remotePort}`];
}

async function main() {
  for (let i = 0; i < servers; i++) {
    const server = net.createServer((socket) => sockets.push(socket));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    listening.push(server);
  }
  for (let i = 0; i < clients; i++) {
    const client = net.connect(listening[i % servers].address().port, '127.0.0.1');
    await new Promise((done) => client.on('connect', done));
    sockets.push(client);
  }
  while (sockets.length < 2 * clients)
    await turn();
  const before = process.hrtime.bigint();
  await turn();
  await turn();
  let first = Infinity;
  for (let i = 0; i < timers; i++) {
    const ms = 60000 + Math.floor(Math.random() * 1e6);
    first = Math.min(first, ms);
    (i % 2 ? setInterval : setTimeout)(() => {}, ms);
  }
  const after = process.hrtime.bigint();
  await turn();
  const due = (at) => Number(at / 1000000n) + first;
  console.log(JSON.stringify({resources: process.getActiveResourcesInfo(), due_ms: [due(before), due(after)],
    sockets: sockets.map(ends), listening: listening.map((server) => `127.0.0.1:${server.address().port}`)}));
}

main();
