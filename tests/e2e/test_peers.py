# SPDX-License-Identifier: MIT
"""What the loop waited for is named: the process behind a pipe, a child, a socket's other side."""
import json
import os
import socket
import threading
import time

from harness import HERE, PYTHON, Attach, Case, Process, describe, main, pause, rng
from runner import calm

LATE_WRITER = "import os, sys, time; fd = int(sys.argv[1])\n" \
              "for line in sys.stdin: time.sleep(float(line)); os.write(fd, b'x')"


def length():
    return f"{rng.uniform(0.12, 0.25):.4f}"


class Server:
    """Answers each connection as many seconds late as it asks for."""

    def __init__(self, family, address):
        self.socket = socket.socket(family)
        self.socket.bind(address)
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                time.sleep(float(peer.recv(100)))
                peer.send(b"x")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


@calm
class Peers(Case):
    def setUp(self):
        super().setUp()
        self.target = None

    def start(self, **options):
        self.target = Process([PYTHON, HERE / "targets/peers.py"], **options)
        self.target.__enter__()
        self.addCleanup(self.target.__exit__)
        self.target.next_line("running")

    def plant(self, line):
        pause()
        self.target.tell(line)
        return lambda: json.loads(self.target.next_line("{"))

    def watch(self, orders):
        """Each order gives back what ends its wait; returns (told, longest block) of each."""
        with Attach(self.target.pid, self.capture) as attach:
            told = [order() for order in orders]
            pause()
            report = attach.stop()
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(told), describe(report))
        for stall, one in zip(stalls, told):
            self.assertStall(stall, one["ns"], stall["cause"], report)
        return report, [(one, stall["cause"], max(stall["blocks"], key=lambda block: block["duration_ns"]))
                        for one, stall in zip(told, stalls)]

    def test_a_pipe_names_the_process_at_its_other_end(self):
        mine, its = os.pipe()
        self.start(pass_fds=[mine])
        with Process([PYTHON, "-c", LATE_WRITER, its], pass_fds=[its]) as writer:
            os.close(mine)
            os.close(its)

            def order(call):
                answer = self.plant(f"{call} {mine}")
                writer.tell(length())
                return answer()

            report, seen = self.watch([lambda: order("read"), lambda: order("poll")])
            for _, cause, block in seen:
                self.assertEqual(cause, "pipe-io", describe(report))
                resource = block["resource"]
                self.assertEqual((resource["kind"], resource["pid"], resource["comm"]),
                                 ("pipe", writer.pid, "python3"), describe(report))
                self.assertTrue(resource["path"].startswith("pipe:["), resource)

    def test_a_child_is_named(self):
        self.start()
        report, seen = self.watch([lambda call=call: self.plant(f"{call} {length()}")()
                                   for call in ("child", "wait")])
        for (told, cause, block), comm in zip(seen, ("sh", "sleep")):
            self.assertEqual(cause, "child-wait", describe(report))
            resource = block["resource"]
            self.assertEqual((resource["kind"], resource["pid"], resource["comm"]),
                             ("child", told["pid"], comm), describe(report))

    def test_a_socket_names_its_other_side(self):
        path = str(self.dir / "server")
        abstract = f"lsc-test-{os.getpid()}-{rng.randrange(1 << 30)}"
        tcp = Server(socket.AF_INET, ("127.0.0.1", 0))
        port = tcp.socket.getsockname()[1]
        servers = [tcp, Server(socket.AF_UNIX, path), Server(socket.AF_UNIX, "\0" + abstract)]
        for server in servers:
            self.addCleanup(server.close)
        self.start()
        kinds = [(f"tcp {port}", "tcp", f"127.0.0.1:{port}", None),
                 (f"unix {path}", "unix", path, os.getpid()),
                 (f"unix @{abstract}", "unix", "@" + abstract, os.getpid())]
        rng.shuffle(kinds)
        report, seen = self.watch([lambda line=line: self.plant(f"{line} {length()}")()
                                   for line, *_ in kinds])
        for (_, cause, block), (_, proto, peer, pid) in zip(seen, kinds):
            self.assertEqual(cause, "network-io", describe(report))
            resource = block["resource"]
            self.assertEqual((resource["kind"], resource["proto"], resource["peer"], resource["pid"]),
                             ("socket", proto, peer, pid), describe(report))


if __name__ == "__main__":
    main()
