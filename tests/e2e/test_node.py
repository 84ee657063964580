# SPDX-License-Identifier: MIT
"""Node, the machine's and Debian's: execSync blocks the loop inside an epoll_wait of its own."""
import os
import pathlib
import shutil
import subprocess
import unittest

import harness
from harness import CACHE, HERE, Attach, Case, Process, pause, rng

# Debian's node 18, what it links beyond libc and libstdc++, and the modules it loads at its start.
DEBIAN_NODE = ["nodejs=18*", "libnode108", "libuv1", "libc-ares2", "libicu72", "libnghttp2-14", "libssl3",
               "libbrotli1", "node-acorn", "node-cjs-module-lexer", "node-undici"]


def debian_node():
    """A command that runs Debian's node, unpacked beside the machine's own; skips with the reason.
    Its modules have fixed places below /usr/share: it gets a mount namespace that shows them."""
    root = CACHE / "node18"
    if not (root / "usr/bin/node").exists():
        unpacked = CACHE / f"node18.{os.getpid()}"
        unpacked.mkdir(parents=True)
        try:
            got = subprocess.run(["apt-get", "-q", "download", *DEBIAN_NODE], cwd=unpacked, timeout=60,
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if got.returncode != 0:
                last = (got.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise unittest.SkipTest(f"Debian's nodejs 18 cannot be downloaded: {last}")
            for package in unpacked.glob("*.deb"):
                subprocess.run(["dpkg", "-x", package, unpacked], check=True)
                package.unlink()
            unpacked.rename(root)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    command = ["unshare", "-m", "sh", "-c",
               'mount --bind "$1/usr/share" /usr/share && shift && exec "$@"', "sh", root,
               "env", f"LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu", root / "usr/bin/node"]
    tried = subprocess.run([*command, "-e", "0"], capture_output=True, text=True, timeout=30)
    if tried.returncode != 0:
        raise unittest.SkipTest(f"Debian's nodejs 18 does not run here: {tried.stderr.strip()[:200]}")
    return command


class Node(Case):
    def watch_exec_sync(self, command):
        with Process([*command, HERE / "targets/blocker.js"]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                pause()
                truth = target.ask(f"child {rng.uniform(0.4, 0.45):.3f}")
                pause()
                report = attach.stop()
        [stall] = self.assertStalls(report, [truth], "child-wait")
        self.assertGreaterEqual(stall["duration_ns"], 400 * harness.MS)
        self.assertOnlyFindingsOf(report, [stall])
        self.assertExplained(report, [stall])

    def test_exec_sync_is_a_child_wait_in_the_machines_node(self):
        node = pathlib.Path("/usr/bin/node")
        if not node.exists():
            self.skipTest("no /usr/bin/node")
        self.watch_exec_sync([node])

    def test_exec_sync_is_a_child_wait_in_debians_node_18(self):
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libnode108"], capture_output=True, text=True)
        if version.returncode == 0 and version.stdout:
            self.skipTest("the machine's node is Debian's: see the other test")
        self.watch_exec_sync(debian_node())


if __name__ == "__main__":
    harness.main()
