# SPDX-License-Identifier: MIT
"""loopscoped as a service: its clients, many of them, those that talk nonsense, and those that do not listen."""
import contextlib
import json
import os
import pathlib
import socket

from harness import BIN, LOOPSCOPE, Attach, Case, Process, main, pause, report_of, rng, run, wait_until
from test_hostile import blocker, many

CLIENTS = 500
LOOPS = 200
LINES = 15000  # more than there is room for in the socket, 12 MiB, of which one takes 1.3 KiB


class Service(Case):
    def setUp(self):
        super().setUp()
        self.path = str(self.dir / "control.sock")
        self.service = self.enterContext(Process([BIN / "loopscoped", "--socket", self.path]))
        wait_until(lambda: os.path.exists(self.path), 5, "the socket")
        self.env = {**os.environ, "LOOPSCOPE_SOCKET": self.path}

    def talk(self, *messages):
        """What the service answers to messages, up to its end of the connection."""
        answers = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(20)
            peer.connect(self.path)
            for message in messages:
                peer.send(message)
            with contextlib.suppress(ConnectionResetError):
                while answer := peer.recv(1 << 17):
                    answers.append(json.loads(answer))
        return answers

    def test_two_clients_at_once(self):
        other = str(self.dir / "other.lsc")
        with blocker() as process, Attach(process.pid, self.capture, env=self.env) as one, \
                Attach(process.pid, other, env=self.env) as two:
            truth = process.ask("sleep 0.1")
            pause()
            self.assertAgree((one, two), truth)

    def test_another_uid_is_refused(self):
        os.chmod(self.path, 0o666)
        done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LOOPSCOPE, "attach", "-p",
                   os.getpid(), "-o", "/tmp/never.lsc", env=self.env, status=4)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(os.path.exists("/tmp/never.lsc"))

    def test_nonsense_is_answered_with_an_error_and_ends_the_connection(self):
        hello = b'{"type":"hello","version":1}'
        for message in (b"no json", b'{"type":', b"[]", b"{}", b'{"type":7}', b'"' * 1000, bytes(64), b"\xff" * 100,
                        rng.randbytes(rng.randint(1, 5000)), b'{"type":"hello","type":"hello"}',
                        b'{"type":"hello","x":' + b"[" * 30000 + b"]" * 30000 + b"}",
                        b'{"type":"hello","x":"' + b"x" * 70000 + b'"}'):
            self.assertEqual([a["type"] for a in self.talk(message)], ["error"], message[:60])
            self.assertEqual([a["type"] for a in self.talk(hello, message)], ["hello", "error"], message[:60])
        self.assertIsNone(self.service.child.poll())

    def test_requests_that_make_no_sense_are_refused(self):
        attach = {"type": "attach", "pids": [os.getpid()], "mode": "attach", "output": self.capture}
        for change in ({"pids": []}, {"pids": [-1, 0, "x", 1 << 40]}, {"output": None}, {"output": 7},
                       {"output": "x" * 5000}, {"pids": {"a": 1}}, {"names": "x", "pids": None},
                       {"cgroup": "../../etc", "pids": []}, {"cgroup": "x" * 9000, "pids": []}):
            [answer] = self.talk(json.dumps({**attach, **change}).encode())
            self.assertEqual(answer["type"], "error", change)
            self.assertIn(answer["code"], (2, 4))
            self.assertNotIn("\n", answer["text"])
        self.assertFalse(os.path.exists(self.capture))

    def test_nonsense_in_the_midst_of_a_job_ends_it_with_a_sound_capture(self):
        with blocker() as process:
            attach = {"type": "attach", "pids": [process.pid], "mode": "attach", "output": self.capture}
            answers = self.talk(json.dumps(attach).encode(), b"nonsense")
        self.assertIn("error", [answer["type"] for answer in answers])
        report_of(self.capture)

    def test_a_client_that_does_not_listen_loses_nothing_but_live_lines(self):
        with many(LOOPS) as process, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(20)
            peer.connect(self.path)
            peer.send(json.dumps({"type": "attach", "pids": [process.pid], "mode": "attach", "output": self.capture,
                                  "stall_ns": 1000000, "print_ns": 1000000}).encode())
            wait_until(lambda: os.path.exists(self.capture), 20, "the begin of the watch")
            for _ in range(LINES // LOOPS):
                process.ask("3000")
            peer.send(b'{"type":"stop"}')
            types = []
            while answer := peer.recv(1 << 17):
                types.append(json.loads(answer)["type"])
        self.assertEqual(types[-1], "end")
        report = report_of(self.capture)
        self.assertEqual(report["capture"]["end"]["reason"], "user")
        self.assertGreater(len(report["stalls"]), types.count("stall"))

    def test_the_service_ends_by_sigterm_and_takes_its_socket_with_it(self):
        with blocker() as process, Attach(process.pid, self.capture, env=self.env) as attach:
            self.service.child.terminate()
            self.assertEqual(self.service.child.wait(5), 0)  # its child, which has its output, goes on
            self.assertFalse(os.path.exists(self.path))
            truth = process.ask("sleep 0.1")
            pause()
            self.assertStalls(attach.stop(), [truth], "sleep")

    def test_many_that_say_nothing_or_half_of_it_keep_nobody_out(self):
        with contextlib.ExitStack() as silent:
            for i in range(CLIENTS):
                peer = silent.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                peer.connect(self.path)
                if i % 2:
                    peer.send(b'{"type":"hello","version":1}')
            with blocker() as process, Attach(process.pid, self.capture, env=self.env) as attach:
                truth = process.ask("sleep 0.1")
                pause()
                self.assertStalls(attach.stop(), [truth], "sleep")
        children = pathlib.Path(f"/proc/{self.service.pid}/task/{self.service.pid}/children")
        wait_until(lambda: not children.read_text(), 20, "end of what served them")
        self.assertEqual(self.service.stderr(), "")


if __name__ == "__main__":
    main()
