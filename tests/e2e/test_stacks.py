# SPDX-License-Identifier: MIT
"""How full stacks became, by spawn site, against what the target's own library measured."""
import contextlib
import json
import sqlite3

from harness import BIN, Attach, Case, Process, describe, loopscope, main, pause, rng

STACKS = BIN.parent / "tests/e2e/stacks"
FRAME = 8192  # what lies on a stack besides the planted frame, at most
KIB = 1024


class Stacks(Case):
    def watch(self, before, after, *options):
        """The report, and what the target said of each place when the capture had begun."""
        with Process([STACKS, *options]) as target:
            target.next_line("running")
            for line in before:
                target.tell(line)
                target.next_line("done")
            with Attach(target.pid, self.capture) as attach:
                pause(0.1, 0.3)
                for line in after:
                    target.tell(line)
                    target.next_line("done")
                pause(0.1, 0.3)
                target.tell("say")
                said = []
                while (answer := target.next_line()) != "done":
                    said.append(json.loads(answer))
                return attach.stop(), {s["function"]: s for s in said}

    def test_the_most_that_was_used_is_what_the_target_measured(self):
        early, late, hold = (rng.randrange(4 * KIB, 40 * KIB) for _ in range(3))
        hold *= 20
        # ended before the capture, and suspended then; the largest of several counts
        report, said = self.watch([f"early {early}", f"hold {hold}"],
                                  [f"late {late}", f"late {late // 4}", f"early {early // 2}"])
        uses = {u["spawn_site"]["function"]: u for u in report["stack_uses"]}
        for name, planted in (("early", early), ("late", late), ("hold", hold)):
            self.assertEqual(uses[name]["used_bytes"], said[name]["used"], describe(report))
            self.assertEqual(uses[name]["size_bytes"], said[name]["size"])
            self.assertGreaterEqual(uses[name]["used_bytes"], planted)
            self.assertLessEqual(uses[name]["used_bytes"], planted + FRAME)
            self.assertEqual(uses[name]["spawn_site"]["file"], "stacks.c")
        self.assertEqual(uses["hold"]["size_bytes"], KIB * KIB)
        self.assertEqual({u["target"] for u in report["stack_uses"]}, {report["capture"]["targets"][0]["id"]})
        shares = [u["used_bytes"] / u["size_bytes"] for u in report["stack_uses"]]
        self.assertEqual(shares, sorted(shares, reverse=True))

        used = f"{uses['hold']['used_bytes'] / KIB:.1f}"
        self.assertRegex(loopscope("report", self.capture).stdout, rf"{used} of 1024 KiB +[\d.]+ %  hold \(stacks.c:3\)")
        page = self.dir / "page.html"
        loopscope("report", f"--html={page}", self.capture)
        self.assertIn(f"<td class=\"n\">{used} KiB</td><td class=\"n\">1024.0 KiB</td>", page.read_text())
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            self.assertEqual(db.execute("SELECT file, line FROM site_stacks WHERE function = 'late'").fetchone(),
                             ("stacks.c", 2))

    def test_without_debug_mode_nothing_is_made_up(self):
        report, said = self.watch([], ["late 9000"], "--plain")
        self.assertEqual(said["late"]["used"], 0)
        self.assertEqual(report["stack_uses"], [])
        self.assertNotIn("STACKS", loopscope("report", self.capture).stdout)


if __name__ == "__main__":
    main()
