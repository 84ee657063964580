# SPDX-License-Identifier: MIT
"""Who held the lock that the loop waited for, on what; and nobody where that cannot be known."""
import json

from harness import BIN, Attach, Case, Process, describe, frames_of, loopscope, main, pause, rng

TARGET = BIN.parent / "tests/e2e/locks"
HOLDERS = {"sleep": "settle_accounts", "burn": "compress_ledger"}


class Locks(Case):
    def watch(self, kinds):
        """Plants a wait of each kind; returns the report and, for each, what the target says."""
        with Process([TARGET]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as self.attach:
                told = []
                for kind in kinds:
                    pause()
                    target.tell(f"{kind} {rng.uniform(0.15, 0.3):.4f}")
                    told.append(json.loads(target.next_line("{")))
                pause()
                return self.attach.stop(), told

    def longest_blocks(self, report, told):
        stalls = self.assertStalls(report, [one["ns"] for one in told], "lock")
        return [max(stall["blocks"], key=lambda block: block["duration_ns"]) for stall in stalls]

    def assertHolder(self, report, block, tid, function):
        owner = block["owner"]
        self.assertIsNotNone(owner, describe(report))
        self.assertEqual((owner["tid"], owner["comm"]), (tid, "accountant"), describe(report))
        names = [frame["function"] for frame in frames_of(report, owner["stack"])]
        told = f"{names}; {describe(report)}; unresolved: {report['capture']['unresolved']}"
        self.assertIn(function, names, told)
        self.assertIn("serve", names, told)
        self.assertLess(names.index(function), names.index("hold"), told)

    def test_a_holder_that_sleeps_or_computes_is_named_with_its_stack(self):
        kinds = [rng.choice(list(HOLDERS)) for _ in range(3)] + list(HOLDERS)
        report, told = self.watch(kinds)
        for kind, block, one in zip(kinds, self.longest_blocks(report, told), told):
            self.assertHolder(report, block, one["tid"], HOLDERS[kind])

    def test_the_holder_is_told_live_and_on_every_page(self):
        kind = rng.choice(list(HOLDERS))
        _, [one] = self.watch([kind])
        [live] = [line for line in self.attach.lines if "STALL" in line]
        self.assertIn(f"held by {one['tid']} accountant: {HOLDERS[kind]} <- hold <- serve", live)
        text = loopscope("report", self.capture).stdout
        self.assertRegex(text, rf"held by thread {one['tid']} accountant")
        self.assertRegex(text, rf"holder +{HOLDERS[kind]} <- hold <- serve")
        self.assertRegex(text, r"kernel +\S*futex\S*")
        self.assertRegex(" ".join(text.split()), rf"held by thread {one['tid']} accountant in {HOLDERS[kind]}")
        page = loopscope("report", "--html", self.capture).stdout
        self.assertIn("Stack of the lock's holder", page)
        self.assertIn("In the kernel", page)

    def test_mutexes_of_other_kinds_name_their_holder_too(self):
        kinds = rng.sample(["pi", "robust", "recursive"], 3)
        report, told = self.watch(kinds)
        for block, one in zip(self.longest_blocks(report, told), told):
            self.assertHolder(report, block, one["tid"], "settle_accounts")

    def test_what_has_no_owner_names_nobody(self):
        kinds = rng.sample(["cond", "sem", "read", "write", "join"], 5)
        report, told = self.watch(kinds)
        for kind, block in zip(kinds, self.longest_blocks(report, told)):
            self.assertIsNone(block["owner"], f"{kind}; {describe(report)}")

    def test_a_sleeping_loop_shows_where_in_the_kernel(self):
        report, told = self.watch(["sleep", "burn"])
        for block in self.longest_blocks(report, told):
            frames = frames_of(report, block["kernel_stack"])
            self.assertTrue(frames, describe(report))
            self.assertEqual({frame["lang"] for frame in frames}, {"kernel"})
            self.assertTrue(any("futex" in (frame["function"] or "") for frame in frames), frames)


if __name__ == "__main__":
    main()
