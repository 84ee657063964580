# SPDX-License-Identifier: MIT
"""Every kind of event loop, one app a run: test_apps.py APP. Idle, under load and saturated, each
phase hides one small planted stall; a long one is planted besides. Exactly the planted stalls may be
seen, each in its loop and for its cause, and exactly the app's loops are loops. LSC_FULL=1 gives each
phase half a minute. `test_apps.py Odd` has the loops that are hard to find, `test_apps.py Turns` those whose turns
are long for another reason."""
import os
import sys
import time

import apps
import harness
from harness import MS, SLACK, Attach, describe, part, rng
from standstill import OnHost

PHASE = 30 if os.environ.get("LSC_FULL") == "1" else 1.0
STALL = 20  # ms; a turn of a saturated app may take 10 on a crowded host
CAUSES = {"sleep": {"sleep"}, "spin": {"cpu-user", "cpu-kernel"}, "mutex": {"lock"}, "lock": {"lock"},
          "atomics": {"lock"}, "pipe": {"pipe-io"}, "fifo": {"pipe-io"}, "poll": {"pipe-io"}, "epoll": {"network-io"},
          "socket": {"network-io"}, "child": {"child-wait"}}
LOADED = {"connections": 8, "rest_us": 1000}
SATURATED = {"connections": 16, "depth": 8}


class Watched(OnHost):
    def setUp(self):
        super().setUp()
        self.truths = []

    def attach(self, app):
        return Attach(app.pid, self.capture, "--stall", STALL, *app.options)

    def plant(self, app, kind, least, most, others_ns=0):
        self.truths.append(app.block(kind, rng.uniform(least, most)))
        self.truths[-1].others_ns = others_ns

    def phase(self, app, plants=True, others_ns=0):
        """A while with one small stall at a random place. None that computes: it is certain only from the
        moment that precise mode is armed, which a crowded host puts off."""
        before = rng.uniform(0.1, 0.9) * PHASE
        time.sleep(before)
        if plants:
            # beside others, of a wait that is interrupted the longest of a few pieces is to be a stall by itself
            length = (0.120, 0.150) if others_ns and not app.exact else (0.030, 0.060)
            self.plant(app, rng.choice([kind for kind in app.kinds if kind != "spin"]), *length, others_ns)
        time.sleep(PHASE - before)

    def loaded_phase(self, app, options):
        """Requests come all the time, so the turn that blocks serves others too, and what came before it may have
        been other turns: what is exact then is the wait."""
        with app.load(**options):
            self.phase(app, app.plants_under_load, STALL * MS // 2)

    def assertIs(self, stall, truth, report, exact):
        """The stall is the planted block, as long as the app says. Computing is certain only from the
        moment that precise mode was armed, and of a wait that io_uring interrupts only its longest piece:
        there the bounds hold the truth. The turn around it may have been longer where the host stood still."""
        told = f"planted {self.truths}; {describe(report)}"
        crowded = truth.delay_ns > truth.ns / 3
        causes = CAUSES[truth.kind] | ({"runqueue"} if crowded else set())
        self.assertIn(stall["cause"], causes, told)
        others = min(truth.others_ns, part(stall, "cpu-user") + part(stall, "cpu-kernel"))
        most = truth.ns + truth.unsure_ns + truth.rest_ns + SLACK + part(stall, "runqueue") + others + self.stood_ns(stall, report)
        least = (truth.ns - truth.delay_ns if truth.others_ns else max(truth.ns, truth.call_ns)) - SLACK
        self.assertLessEqual(stall["duration_min_ns"], most, told)
        self.assertGreaterEqual(stall["duration_max_ns"], max(truth.ns, truth.call_ns) - SLACK, told)
        if truth.kind != "spin" and exact:
            self.assertGreaterEqual(stall["duration_ns"], least, told)
            self.assertLessEqual(stall["duration_ns"], most, told)
        if truth.kind != "spin" and exact and not crowded:
            waited = sum(part(stall, cause) for cause in causes)
            self.assertGreaterEqual(waited, truth.ns - SLACK - truth.delay_ns, told)
            self.assertLessEqual(waited, truth.ns + truth.unsure_ns + SLACK, told)

    def check(self, report, app):
        """Exactly what was planted, each in its loop, and exactly the app's loops. What else is told as a
        stall was none but for the time that the loop lacked a CPU, or the host stood still."""
        told = f"planted {self.truths}; {describe(report)}"
        tids = {loop["id"]: loop["tid"] for loop in report["loops"]}
        self.assertEqual(set(tids.values()), app.loops(), told)
        start = report["capture"]["clock"]["start_monotonic_ns"]
        left = {stall["id"]: stall for stall in report["stalls"]}
        for truth in self.truths:
            mine = [stall for stall in left.values() if tids[stall["loop"]] == truth.tid
                    and truth.overlaps(start + stall["start_ns"], stall["duration_ns"])]
            self.assertEqual(len(mine), 1, f"{truth}: {mine}; {told}")
            self.assertIs(mine[0], truth, report, app.exact)
            del left[mine[0]["id"]]
        for stall in left.values():
            lacked = part(stall, "runqueue") + self.stood_ns(stall, report)
            self.assertLess(stall["duration_ns"] - lacked, STALL * MS, f"{stall}; {told}")
        for finding in report["findings"]:  # blocks that held nothing up for long are told too
            if finding["rule"] not in ("host-contention", "blind"):
                self.assertTrue(finding["stall_ids"] or finding["severity"] == "info", told)


class Loop(Watched):
    """One app, from its idling to its saturation, and met in the midst of it."""

    def test_idle_then_loaded_then_saturated(self):
        with apps.APP[NAME]() as app:
            with self.attach(app) as attach:
                self.phase(app)
                self.plant(app, rng.choice(app.kinds), 0.29, 0.31)
                self.loaded_phase(app, LOADED)
                self.loaded_phase(app, SATURATED)
                report = attach.stop()
            self.check(report, app)

    def test_met_while_it_is_saturated(self):
        with apps.APP[NAME]() as app:
            if not app.shows_itself_when_busy:
                self.skipTest("while there is work it makes no call that shows where it parks")
            with app.load(**SATURATED):
                with self.attach(app) as attach:
                    self.phase(app, app.plants_under_load, STALL * MS // 2)
                    report = attach.stop()
            self.check(report, app)


class Odd(Watched):
    """Loops that are hard to find. These tests have the apps that they need."""

    def test_a_loop_whose_every_timer_waits_in_a_loop_of_its_own(self):
        for name in ("epoll", "uv"):
            with self.subTest(name), apps.CApp(name, "nested") as app:
                self.truths = []
                with Attach(app.pid, str(self.dir / f"{name}.lsc"), "--stall", STALL) as attach:
                    self.phase(app)
                    report = attach.stop()
                self.truths[0].unsure_ns += 3 * 8 * MS  # its three timers may wait in the same turn
                self.check(report, app)
                sites = {finding["site"]["function"] for finding in report["findings"] if finding["site"]}
                self.assertIn("tick", sites, describe(report))  # the wait within is the block,
                self.assertNotIn("app_run", sites, describe(report))  # not the loop's own

    def test_a_loop_that_never_sleeps_in_its_wait(self):
        with apps.CApp("epoll", "spin") as app:
            with self.attach(app) as attach:
                self.phase(app)
                report = attach.stop()
            self.check(report, app)

    def test_a_loop_that_begins_after_other_waits(self):
        with apps.CApp("epoll", "start") as app:
            with self.attach(app) as attach:
                time.sleep(1.2)
                app.tell("")
                time.sleep(3)  # as long as it takes until it is certain that those do not come back
                self.phase(app)
                report = attach.stop()
            self.check(report, app)

    def test_a_loop_within_the_jobs_of_a_pool(self):
        with apps.JobApp("epoll") as app:
            with self.attach(app) as attach:
                for _ in range(2):
                    app.turn()
                    self.phase(app)
                    app.end()
                    time.sleep(0.3)
                report = attach.stop()
            self.check(report, app)


class Turns(Watched):
    """Ten callbacks of 12 ms in one turn, and one of 120 ms."""

    def compute(self, name, plant):
        """The finding about one turn that computes for 120 ms, most of which the sampler saw: a crowded
        host may keep it from that, and the turn from its CPU."""
        for _ in range(5):
            finding, sampled = self.compute_once(name, plant)
            if sampled > 0.8:
                return finding
        self.fail(f"{name}: only {sampled:.0%} of the turn was sampled, five times")

    def compute_once(self, name, plant):
        with apps.CApp(name) as app:
            with self.attach(app) as attach:
                time.sleep(0.3)
                truth = plant(app)
                time.sleep(0.3)
                report = attach.stop()
        if truth.delay_ns > truth.ns / 3:
            return None, 0
        rules = [f for f in report["findings"] if f["rule"] in ("slow-iteration", "cpu-hog", "loop-stall")]
        self.assertEqual(len(rules), 1, describe(report))
        [stall] = (stall for stall in report["stalls"] if stall["id"] in rules[0]["stall_ids"])
        return rules[0], sum(p["ns"] for p in stall["samples"] if p["stack"]) / stall["duration_ns"]

    def test_callbacks_that_differ_are_told_from_one_long_one(self):
        for name in ("uv", "event", "ev"):
            with self.subTest(name):
                self.assertEqual(self.compute(name, lambda app: app.burst(10, 0.012))["rule"], "slow-iteration")
                self.assertEqual(self.compute(name, lambda app: app.block("spin", 0.12))["rule"], "cpu-hog")

    def test_a_loop_of_its_own_says_that_it_cannot_tell(self):
        finding = self.compute("epoll", lambda app: app.burst(10, 0.012))
        self.assertEqual(finding["rule"], "cpu-hog")
        self.assertIn("cannot be told", finding["message"])


if __name__ == "__main__":
    NAME = sys.argv[1]
    if NAME in apps.APP:
        sys.argv[1] = "Loop"
    harness.main()
