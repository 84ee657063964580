# SPDX-License-Identifier: MIT
"""The program itself: forms and exit codes of report, check and schema, and their JSON against the
published schemas, validated by another implementation."""
import contextlib
import json
import os
import re
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import unittest

import jsonschema

LOOPSCOPE, MAKE_CAPTURE = sys.argv[1], sys.argv[2]
SITES_SECONDS = 10  # of CPU time, for three reports: 2 are usual; with the square of the sites it would be minutes
SCENES = ["healthy", "sleeping", "hostile", "host", "partial", "cut"]


def run(*args):
    return subprocess.run([LOOPSCOPE, *args], capture_output=True, timeout=60)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.file = {}
        for scene in SCENES:
            cls.file[scene] = os.path.join(cls.directory.name, scene + ".lsc")
            subprocess.run([MAKE_CAPTURE, scene, cls.file[scene]], check=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def refused(self, result, status=2):
        self.assertEqual(result.returncode, status)
        self.assertEqual(result.stdout, b"")
        self.assertTrue(result.stderr.startswith(b"loopscope "), result.stderr)
        self.assertNotIn(b"\033", result.stderr)

    def schema(self, name):
        result = run("schema", name)
        self.assertEqual(result.returncode, 0)
        schema = json.loads(result.stdout)
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    def test_schema_lists_names_and_refuses_unknown_ones(self):
        names = [line.split()[0] for line in run("schema").stdout.decode().splitlines()]
        self.assertEqual(names, ["report", "check", "doctor", "attach", "ps"])
        self.refused(run("schema", "nothing"))

    def test_report_does_not_write_over_the_capture_that_it_reads(self):
        link = self.path("link.lsc")
        os.link(self.file["sleeping"], link)
        with open(self.file["sleeping"], "rb") as file:
            before = file.read()
        for place in (self.file["sleeping"], link):
            result = run("report", self.file["sleeping"], "--html=" + place)
            self.refused(result)
            self.assertIn(b"is the capture itself", result.stderr)
        with open(self.file["sleeping"], "rb") as file:
            self.assertEqual(file.read(), before)

    def test_two_forms_do_not_take_each_others_place(self):
        place = self.path("both")
        result = run("report", "--json=" + place, "--html=" + place, self.file["sleeping"])
        self.refused(result)
        self.assertIn(f"cannot both be written to '{place}'".encode(), result.stderr)
        self.assertFalse(os.path.exists(place))

    def test_a_full_disk_is_named(self):
        for command, *options in (("report", "--text"), ("report", "--json"), ("report", "--html"),
                                  ("check",), ("check", "--json"), ("check", "--max-stall", "1s")):
            with open("/dev/full", "wb") as full:
                result = subprocess.run([LOOPSCOPE, command, *options, self.file["sleeping"]], stdout=full,
                                        stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(result.stderr.decode(), f"loopscope {command}: cannot write to stdout: "
                                                     "No space left on device\n")

    def test_text_fits_into_a_narrow_terminal_and_says_the_same(self):
        for scene in SCENES:
            for command in (["report"], ["report", "--color=always"], ["check", "--max-findings", "info=0"]):
                wide = subprocess.run([LOOPSCOPE, *command, self.file[scene]], capture_output=True, timeout=60)
                narrow = subprocess.run([LOOPSCOPE, *command, self.file[scene]], capture_output=True, timeout=60,
                                        env={**os.environ, "COLUMNS": "60"})
                self.assertEqual(narrow.returncode, wide.returncode)
                plain = [re.sub(r"\033\[[0-9;]*m", "", r.stdout.decode()) for r in (wide, narrow)]
                for line in plain[1].splitlines():
                    self.assertTrue(len(line) <= 60 or " " not in line.strip(), (scene, command, line))
                # what is left out is of tables and of the paths in stacks
                self.assertEqual(*[re.split(r"\n(?:THE |LOOPS)", text)[0].split() for text in plain])

    def test_ten_thousand_sites_are_all_told_and_the_pages_for_eyes_stay_short(self):
        capture = self.path("sites.lsc")
        subprocess.run([MAKE_CAPTURE, "sites", capture], check=True, timeout=60)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        document = json.loads(run("report", "--json", capture).stdout)
        text, page = (run("report", form, capture).stdout for form in ("--text", "--html"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual({finding["site"]["function"] for finding in document["findings"]},
                         {f"site_{i}" for i in range(1, 10001)})
        self.assertEqual(len(document["findings"]), 10000)
        worst = max(document["findings"], key=lambda finding: finding["worst_ns"])["site"]["function"].encode()
        for form, most in ((text, 20_000), (page, 1_000_000)):
            self.assertIn(worst, form)
            self.assertIn(b"10,000", form)
            self.assertLess(len(form), most)
        self.assertLess(after.ru_utime - before.ru_utime, SITES_SECONDS)

    def test_blocks_of_callbacks_that_ended_in_a_call_cost_no_square_of_the_stacks(self):
        capture, n = self.path("called.lsc"), 200_000
        shutil.copy(self.file["healthy"], capture)
        with contextlib.closing(sqlite3.connect(capture)) as db:
            loop, start = db.execute("SELECT id, first_ns FROM loop").fetchone()
            db.execute("DELETE FROM stack")
            db.execute("DELETE FROM frame")
            db.execute("INSERT INTO task(id, loop, ring_id, name, kind, spawn_line, created_ns, ended_ns, steps, run_ns,"
                       " max_step_ns) VALUES(1000000, ?, 0, 'called from turn', 1, 0, 0, 0, 0, 0, 0)", (loop,))
            db.executemany("INSERT INTO stack VALUES(?, 0)", ((i,) for i in range(1, n + 1)))
            db.executemany("INSERT INTO frame VALUES(?, 0, 0, 'turn', NULL, 0, '/bin/x', NULL, 16, 0)",
                           ((i,) for i in range(1, n + 1)))
            db.executemany("INSERT INTO block(id, loop, task, start_ns, duration_ns, count, cause, inferred, resource_pid,"
                           " requested_ns, owner_tid, waker_pid, stack)"
                           " VALUES(?, ?, 1000000, ?, 2000000, 1, 0, 0, 0, 0, 0, 0, ?)",
                           ((1_000_000 + i, loop, start + i, i) for i in range(1, n + 1)))
            db.commit()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run("report", capture)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertLess(after.ru_utime - before.ru_utime, SITES_SECONDS)

    def test_report_json_fits_the_published_schema(self):
        validator = self.schema("report")
        for scene in SCENES:
            document = json.loads(run("report", "--json", self.file[scene]).stdout)
            self.assertEqual([e.message for e in validator.iter_errors(document)], [], scene)
        del document["stalls"]
        self.assertFalse(validator.is_valid(document))

    def test_check_json_fits_the_published_schema(self):
        validator = self.schema("check")
        for scene in SCENES:
            result = run("check", "--json", "--max-stall", "50ms", "--max-findings", "info=0", self.file[scene])
            document = json.loads(result.stdout)
            self.assertEqual([e.message for e in validator.iter_errors(document)], [], scene)
            self.assertEqual(document["exit_status"], result.returncode)

    def test_every_id_in_the_report_leads_somewhere(self):
        document = json.loads(run("report", "--json", self.file["sleeping"]).stdout)
        stalls = {s["id"] for s in document["stalls"]}
        stacks = {s["id"] for s in document["stacks"]}
        loops = {s["id"] for s in document["loops"]}
        for finding in document["findings"]:
            self.assertTrue(set(finding["stall_ids"]) <= stalls)
            self.assertTrue(set(finding["loops"]) <= loops)
        for stall in document["stalls"]:
            self.assertIn(stall["stack"], stacks)
            self.assertEqual(sum(part["ns"] for part in stall["split"]), stall["duration_ns"])

    def test_report_writes_its_forms(self):
        text = run("report", self.file["sleeping"])
        self.assertEqual(text.returncode, 0)
        self.assertIn(b"blocking-sleep", text.stdout)
        self.assertNotIn(b"\033", text.stdout)
        self.assertIn(b"\033[1;31m", run("report", "--color=always", self.file["sleeping"]).stdout)
        out, page = self.path("out.json"), self.path("out.html")
        both = run("report", "--text", "--json=" + out, "--html=" + page, self.file["sleeping"])
        self.assertEqual(both.returncode, 0, both.stderr)
        self.assertEqual(both.stdout, text.stdout)
        with open(out) as f:
            self.assertEqual(json.load(f), json.loads(run("report", "--json", self.file["sleeping"]).stdout))
        self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o640)
        with open(page) as f:
            self.assertIn("blocking-sleep", f.read())
        self.assertEqual(sorted(n for n in os.listdir(self.directory.name) if n.startswith("out.")),
                         ["out.html", "out.json"])

    def test_report_replaces_files_but_neither_links_nor_devices(self):
        out, link = self.path("again.json"), self.path("link.json")
        with open(out, "w") as f:
            f.write("old")
        os.symlink(out, link)
        self.refused(run("report", "--json=" + link, self.file["healthy"]))
        with open(out) as f:
            self.assertEqual(f.read(), "old")
        self.refused(run("report", "--json=/dev/null", self.file["healthy"]))
        self.refused(run("report", "--json=" + self.path("no/such/file"), self.file["healthy"]))
        self.assertEqual(run("report", "--json=" + out, self.file["healthy"]).returncode, 0)
        with open(out) as f:
            json.load(f)

    def test_report_refuses_misuse_and_foreign_files(self):
        foreign, damaged = self.path("foreign.lsc"), self.path("damaged.lsc")
        with open(foreign, "w") as f:
            f.write("this is no capture\n" * 100)
        with open(self.file["sleeping"], "rb") as f:
            content = bytearray(f.read())
        content[5000:9000] = b"\xa5" * 4000
        with open(damaged, "wb") as f:
            f.write(content)
        for args in [[], [self.path("missing.lsc")], [foreign], [damaged], [self.directory.name],
                     ["--json", "--html", self.file["healthy"]], ["--nonsense"],
                     ["--color=perhaps", self.file["healthy"]], [self.file["healthy"], self.file["cut"]]]:
            with self.subTest(args=args):
                self.refused(run("report", *args))

    def test_check_returns_its_verdict(self):
        cases = [
            (0, ["healthy"], []), (1, ["sleeping"], []), (0, ["sleeping"], ["--max-stall", "1s"]),
            (1, ["sleeping"], ["--max-stall", "50ms"]), (0, ["sleeping"], ["--max-findings", "error=2"]),
            (3, ["host"], ["--max-stall=50ms"]), (3, ["partial"], []), (3, ["cut"], []),
            (2, [], []), (2, ["healthy", "cut"], []), (2, ["healthy"], ["--max-stall", "x"]),
            (2, ["healthy"], ["--max-findings", "fatal=0"]), (2, ["healthy"], ["-p", "1"]),
            (2, [], ["-p", "1"]), (2, ["healthy"], ["--require", "magic"]),
        ]
        for status, scenes, options in cases:
            with self.subTest(scenes=scenes, options=options):
                result = run("check", *options, *[self.file[s] for s in scenes])
                self.assertEqual(result.returncode, status, result.stderr)
        self.refused(run("check", self.path("missing.lsc")))

    def test_check_prints_a_line_a_budget_and_the_findings_concerned(self):
        result = run("check", "--max-stall", "50ms", "--max-findings", "error=9", self.file["sleeping"])
        lines = result.stdout.decode().splitlines()
        self.assertEqual(lines[0], "FAIL max-stall 50ms: worst 300.0 ms")
        self.assertEqual(lines[1], "PASS max-findings error=9: 2 found")
        self.assertIn("blocking-sleep", result.stdout.decode())
        self.assertNotIn("starvation", result.stdout.decode())
        passed = run("check", "--max-stall", "50ms", self.file["healthy"])
        self.assertEqual(passed.stdout.decode(), "PASS max-stall 50ms: no stall\n")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
