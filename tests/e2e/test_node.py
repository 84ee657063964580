# SPDX-License-Identifier: MIT
"""Node, the machine's and Debian's: execSync blocks the loop inside an epoll_wait of its own."""
import harness
import nodes
from harness import HERE, Attach, Case, Process, pause, rng

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
        self.watch_exec_sync([nodes.machine()])

    def test_exec_sync_is_a_child_wait_in_debians_node_18(self):
        self.watch_exec_sync(nodes.debian())


if __name__ == "__main__":
    harness.main()
