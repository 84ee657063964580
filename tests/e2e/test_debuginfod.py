# SPDX-License-Identifier: MIT
"""Debug files from a debuginfod server, Debian's own one on loopback: the stripped program has names and lines as soon
as its file is there, and nothing waits for it. Servers that are silent, gone, or serve something else cost those names
alone."""
import contextlib
import email.utils
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

import harness
from harness import MS, Process, describe, frames_of, pause, rng, wait_until
from runner import calm
from test_live import SOON, Events, helpers_of
from test_stalled import of_process
from test_symbols import Stripped

MISSED = "debug file of a build"
REFUSED = "its debug file is of another build"
NOBODY = 65534


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


def get(url):
    """What the server answers with; None while it has no such file, or is not there."""
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()
    return None


class Front:
    """A server of our own that answers requests as it is told: (status, length it claims, body)."""

    def __init__(self, answer):
        front, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                front.asked.append(self.path)
                status, length, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.send_header("Last-Modified", email.utils.formatdate(usegmt=True))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@calm
class Debuginfod(Stripped):
    linked = False

    def setUp(self):
        super().setUp()
        try:
            subprocess.run(["debuginfod-find", "--version"], check=True, capture_output=True, timeout=60)
        except FileNotFoundError:
            raise unittest.SkipTest("debuginfod is not installed") from None
        self.cache = self.dir / "cache"
        self.cached = self.cache / self.build_id() / "debuginfo"

    @contextlib.contextmanager
    def server(self):
        """Debian's, once it has found the debug file."""
        if not shutil.which("debuginfod"):
            raise unittest.SkipTest("debuginfod is not installed")
        files, port = self.dir / "files", free_port()
        files.mkdir()
        shutil.move(self.debug, files / self.debug.name)
        own_cache = {**os.environ, "DEBUGINFOD_URLS": "", "DEBUGINFOD_CACHE_PATH": str(self.dir / "of_server")}
        argv = ["debuginfod", "-F", "-t0", "-g0", "-d", ":memory:", "-p", port, files]
        with Process(argv, env=own_cache) as process:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: get(f"{url}/buildid/{self.build_id()}/debuginfo"), 30, f"its file, {process.stderr()}")
            yield url

    def watch(self, target, url, **more):
        env = {name: value for name, value in os.environ.items() if not name.startswith("DEBUGINFOD")}
        if url is not None:
            env.update(DEBUGINFOD_URLS=url, DEBUGINFOD_CACHE_PATH=str(self.cache), **more)
        attach = Events(target.pid, self.capture, env=env)
        for _ in range(3):  # turns that confirm where it idles
            target.tell("async 0 1")
            target.next_line("callback")
        return attach

    def block(self, target, attach):
        """Plants a block, whose line comes at once. The depth, and what the target says."""
        before = len(attach.stalls(False))
        depth, said = self.plant(target)
        end_ns = time.monotonic_ns()
        wait_until(lambda: len(attach.stalls(False)) > before, 2, "its line")
        late = attach.stalls(False)[before]["came_ns"] - end_ns
        self.assertLess(late, SOON, f"told {late / MS:.1f} ms after its end")
        return depth, said

    def block_until(self, target, attach, truths, condition):
        """Plants blocks until it holds: that a file was indexed shows in what comes after."""
        for _ in range(20):
            truths.append(self.block(target, attach))
            if condition():
                return
        self.fail(f"not within 20 blocks: {attach.stalls(False)[-1]}")

    def end(self, attach, truths):
        """The frames of the planted stalls, in their order."""
        self.report = attach.stop()
        stalls = self.assertStalls(self.report, [said["ns"] for _, said in truths], "sleep")
        return [frames_of(self.report, stall["stack"]) for stall in stalls]

    def start(self):
        target = Process([self.program])
        target.next_line("ready")
        return target

    def test_names_come_with_the_file_and_nothing_waits_for_it(self):
        """Not even those of what was stored before."""
        gate = threading.Event()
        with self.server() as url, self.start() as target:
            def pass_on(path):
                gate.wait(60)
                body = get(url + path)
                return (404, 0, b"") if body is None else (200, len(body), body)

            with Front(pass_on) as front, self.watch(target, front.url) as attach:
                pause()
                truths = [self.block(target, attach)]
                wait_until(lambda: front.asked, 10, "a request")
                truths.append(self.block(target, attach))
                for told in attach.stalls(False):
                    self.assertNotIn("descend", told["frames"])
                self.assertFalse(self.cached.exists())
                gate.set()
                wait_until(self.cached.exists, 20, "the file in the cache")
                self.block_until(target, attach, truths, lambda: "descend" in attach.stalls(False)[-1]["frames"])
                pause(0.5, 0.8)  # where it idles is learned anew
                truths.append(self.block(target, attach))
                frames = self.end(attach, truths)
            self.assertEqual(self.cached.stat().st_uid, NOBODY)
            self.assertEqual(front.asked.count(f"/buildid/{self.build_id()}/debuginfo"), 1, front.asked)
            self.assertEqual(len(front.asked), len(set(front.asked)), front.asked)
        for named, (depth, said) in zip(frames, truths, strict=True):
            self.assertNamed(named, depth, said["callback"])
        told = [stall["task"] and stall["task"]["name"] for stall in self.planted(self.report)]
        said = [said["callback"] for _, said in truths]
        self.assertEqual((*told[:2], told[-1]), (*said[:2], said[-1]), f"{told}; seed {harness.SEED}")
        for name, callback in zip(told, said):
            self.assertIn(name, (callback, None))
        self.assertEqual(self.unresolved(), [])
        self.assertLessEqual(set(self.unresolved(MISSED)), {"debuginfod has none"})  # of its libraries

    def test_a_file_that_is_in_the_cache_needs_no_server(self):
        self.cached.parent.mkdir(parents=True)
        shutil.move(self.debug, self.cached)
        with self.start() as target, self.watch(target, f"http://127.0.0.1:{free_port()}") as attach:
            pause()
            truth = self.block(target, attach)
            [frames] = self.end(attach, [truth])
        self.assertNamed(frames, truth[0], truth[1]["callback"])
        self.assertEqual(self.unresolved(), [])

    def test_without_the_variable_nobody_is_asked(self):
        self.cached.parent.mkdir(parents=True)
        shutil.move(self.debug, self.cached)
        with self.start() as target, self.watch(target, None) as attach:
            pause()
            truth = self.block(target, attach)
            names = {of_process(pid, "Name") for pid in helpers_of(attach.pid)}
            [frames] = self.end(attach, [truth])
        self.assertIn("lsc-indexer", names)
        self.assertNotIn("lsc-fetcher", names)
        self.assertNameless(frames)
        self.assertEqual(self.unresolved(MISSED), [])

    def fetchers(self, attach):
        return [pid for pid in helpers_of(attach.pid) if of_process(pid, "Name") == "lsc-fetcher"]

    def test_a_silent_server(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent, self.start() as target:
            silent.settimeout(20)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with self.watch(target, url, DEBUGINFOD_TIMEOUT="2") as attach:
                pause()
                first = self.block(target, attach)
                held, _ = silent.accept()  # it was asked
                [pid] = self.fetchers(attach)
                self.assertEqual(of_process(pid, "Uid").split(), [str(NOBODY)] * 4)
                self.assertEqual(int(of_process(pid, "CapPrm"), 16), 0)
                self.assertEqual((of_process(pid, "NoNewPrivs"), of_process(pid, "Seccomp")), ("1", "2"))
                second = self.block(target, attach)
                wait_until(lambda: [e for e in attach.of("notice") if "debuginfod did not answer in time" in e["text"]],
                           20, "a notice")
                third = self.block(target, attach)
                frames = self.end(attach, [first, second, third])
            held.close()
        for some in frames:
            self.assertNameless(some)
        self.assertIn("debuginfod did not answer in time", self.unresolved(MISSED))
        self.assertEqual(self.unresolved(), [])

    def missed(self, url, why, **more):
        """Blocks before and after it is known that nothing comes of it."""
        with self.start() as target, self.watch(target, url, **more) as attach:
            pause()
            first = self.block(target, attach)
            wait_until(lambda: [e for e in attach.of("notice") if why in e["text"]], 20, "a notice")
            second = self.block(target, attach)
            frames = self.end(attach, [first, second])
        for some in frames:
            self.assertNameless(some)
        self.assertIn(why, self.unresolved(MISSED), describe(self.report))

    def test_a_server_that_is_not_there(self):
        self.missed(f"http://127.0.0.1:{free_port()}", "debuginfod cannot be reached")

    def test_a_file_that_is_too_large(self):
        with Front(lambda path: (200, 4 << 30, bytes(1 << 20))) as front:
            self.missed(front.url, "the file that debuginfod has is too large")
            self.assertIn(f"/buildid/{self.build_id()}/debuginfo", front.asked)

    def test_a_cache_that_cannot_be_used(self):
        self.cache.write_text("no folder")
        self.missed(f"http://127.0.0.1:{free_port()}", "the cache for files of debuginfod cannot be used")

    def refused(self, body):
        """It is judged when it comes, and, as it is in the cache then, at the begin of the next capture, which says so."""
        of_program = f"/buildid/{self.build_id()}/debuginfo"
        with Front(lambda path: (200, len(body), body)) as front, self.start() as target:
            with self.watch(target, front.url) as attach:
                pause()
                truths = [self.block(target, attach)]
                wait_until(self.cached.exists, 20, "the file in the cache")
                truths.append(self.block(target, attach))
                frames = self.end(attach, truths)
            self.assertLessEqual(set(self.unresolved()), {REFUSED})
            with self.watch(target, front.url) as attach:
                pause()
                frames += self.end(attach, [self.block(target, attach)])
            self.assertEqual(self.unresolved(), [REFUSED])
            self.assertEqual(front.asked.count(of_program), 1, front.asked)
        for some in frames:
            self.assertNameless(some)

    def test_a_file_of_another_build(self):
        build_id = bytes.fromhex(self.build_id())
        data = self.debug.read_bytes()
        self.assertIn(build_id, data)
        self.refused(data.replace(build_id, bytes(reversed(build_id))))

    def test_a_page_of_a_portal(self):
        self.refused(b"<!DOCTYPE html><title>Please log in</title>" + b"<p>" * rng.randint(1, 5000))


if __name__ == "__main__":
    harness.main()
