# SPDX-License-Identifier: MIT
"""loopscope ps: the loops of the host and the tasks of a process are those that the programs themselves
tell."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from apps import APP
import pythons
from harness import (BIN, HERE, LOOPSCOPE, MS, PYTHON, SEED, Attach, Case, Process, descendants_of, loopscope, main,
                     require_valid, rng, run, wait_until)
from runner import alone, calm, for_each
from test_redis import Redis

# A task that sleeps for good in a function; another thread tells its frames from its coroutine on.
HANGS = """import asyncio, json, sys, threading, time
def name_of(code): return getattr(code, "co_qualname", code.co_name)
class Bill:
    def fetch(self):
        time.sleep(10000)
async def settle(bill):
    [bill.fetch()
     for _ in range(1)]
async def hangs():
    await asyncio.sleep(0.1)
    await settle(Bill())
def tell(thread):
    stack = []
    while not stack or stack[0][0] != "Bill.fetch"[-len(stack[0][0]):]:
        time.sleep(0.3)
        frame, stack = sys._current_frames()[thread], []
        while frame:
            stack.append([name_of(frame.f_code), frame.f_code.co_filename, frame.f_lineno])
            frame = frame.f_back
    end = [function for function, *_ in stack].index("hangs")
    print(json.dumps({"stack": stack[end::-1]}), flush=True)
async def main():
    asyncio.current_task().set_name("main")
    threading.Thread(target=tell, args=(threading.get_ident(),), daemon=True).start()
    loop = asyncio.get_running_loop()
    await asyncio.gather(loop.create_task(hangs(), name="hangs"), loop.create_task(asyncio.sleep(10000), name="other"))
asyncio.run(main())
"""
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
TARGETS = BIN.parent / "tests/e2e"
READING = 100 * MS  # of 10,000 tasks, on a CPU of its own
CROWDED = 5  # times that, beside other load and in a debug build


def ps(*argv, status=0, program=(LOOPSCOPE,)):
    """The document, after checking what must hold for every one."""
    done = run(*program, "ps", "--json", *argv, status=status)
    document = json.loads(done.stdout)
    require_valid(document, "ps")
    ids = [task["id"] for task in document["tasks"] or []]
    if len(ids) != len(set(ids)):
        raise AssertionError(f"two tasks have one id: {ids}")
    for task in document["tasks"] or []:
        if not set(task["awaits"]) <= set(ids):
            raise AssertionError(f"a task awaits none of these: {task}")
    return document


def by_loop(document):
    """As the target prints it: by thread, in the order of names."""
    names = {task["id"]: task["name"] for task in document["tasks"]}
    loops = {}
    for task in document["tasks"]:
        loops.setdefault(str(task["loop"]), []).append({
            "name": task["name"], "state": task["state"],
            "frames": [[frame["function"], frame["file"], frame["line"]] for frame in task["frames"]],
            "awaits": sorted(names[other] for other in task["awaits"])})
    return {tid: sorted(tasks, key=lambda task: task["name"]) for tid, tasks in loops.items()}


@calm
class Tasks(Case):
    def assertTellsTheSame(self, document, truth, told):
        """Task by task, so that a failure shows the first that differs."""
        loops = by_loop(document)
        self.assertEqual(sorted(loops), sorted(truth), told)
        for tid, tasks in truth.items():
            self.assertEqual([task["name"] for task in loops[tid]], [task["name"] for task in tasks], told)
            for ours, theirs in zip(loops[tid], tasks):
                self.assertEqual(ours, theirs, told)

    @for_each(pythons.WAYS)
    def test_the_tasks_of_every_interpreter_are_those_that_it_tells(self, version):
        """Random trees of all ways to await, in several loops; names, states, where each is suspended, and who
        awaits whom."""
        command = pythons.command_of(pythons.WAYS, version)
        seed, loops, tasks = rng.randrange(10 ** 6), rng.randint(1, 3), rng.choice([5, 40, 300])
        told = f"{version} seed {seed} loops {loops} tasks {tasks}; LSC_SEED={SEED}"
        with Process([*command, HERE / "targets/tasks.py", seed, loops, tasks]) as target:
            truth = json.loads(target.next_line("{", 60))
            document = ps(target.pid)
            self.assertTellsTheSame(document, truth, told)
            self.assertEqual(document["changed"], 0, told)
            self.assertEqual(document["unseen"], [], told)
            self.assertEqual({str(loop["tid"]): loop["tasks"] for loop in document["loops"]},
                             {tid: len(tasks) for tid, tasks in truth.items()}, told)
            for loop in document["loops"]:
                self.assertEqual(loop["runtime"], "cpython", told)
                self.assertTrue(loop["primary_wait"]["syscall"].startswith("epoll"), told)
            said = run(*command, "-c", "import platform; print(platform.python_version())").stdout.strip()
            self.assertTrue(said.startswith(document["loops"][0]["runtime_version"]), f"{said} {told}")
            # each loop has one cycle of three, and nothing else goes round
            self.assertEqual([len(cycle) for cycle in document["cycles"]], [3] * loops, told)

    @for_each(pythons.WAYS)
    def test_tasks_of_a_thread_that_has_ended_and_those_that_begin_at_once(self, version):
        code = ("import asyncio, sys, threading\nasync def leaf(): await asyncio.Event().wait()\n"
                "async def make():\n loop = asyncio.get_running_loop()\n"
                " if hasattr(asyncio, 'eager_task_factory'): loop.set_task_factory(asyncio.eager_task_factory)\n"
                " made = [loop.create_task(leaf(), name='%s-%d' % (threading.current_thread().name, n)) for n in range(9)]\n"
                " await asyncio.sleep(0)\n return made\n"
                "def ended(): kept.extend(loop.run_until_complete(make()))\n"
                "kept, loop = [], asyncio.new_event_loop()\nt = threading.Thread(target=ended, name='ended')\nt.start()\nt.join()\n"
                "async def main():\n kept.extend(await make())\n"
                " print(*sorted(t.get_name() for l in (loop, asyncio.get_running_loop()) for t in asyncio.all_tasks(l)), flush=True)\n"
                " await leaf()\nasyncio.run(main())")
        with Process([*pythons.command_of(pythons.WAYS, version), "-c", code]) as target:
            told = target.next_line("ended", 60).split()
            document = ps(target.pid)
            self.assertEqual(sorted(task["name"] for task in document["tasks"]), told)
            self.assertEqual({(task["name"].startswith("ended"), task["loop"]) for task in document["tasks"]},
                             {(True, None), (False, target.pid)})
            self.assertEqual((document["changed"], document["unseen"]), (0, []))

    @for_each(pythons.WAYS)
    def test_a_task_that_hangs_is_told_with_what_it_is_in(self, version):
        """No loop is met, for it does not turn; its tasks are known, and where the one is that has not come back."""
        program = self.dir / "hangs.py"
        program.write_text(HANGS)
        with Process([*pythons.command_of(pythons.WAYS, version), program]) as target:
            truth = json.loads(target.next_line("{", 60))
            document = ps(target.pid)
            text = loopscope("ps", target.pid).stdout
        tasks = {task["name"]: task for task in document["tasks"]}
        self.assertEqual(sorted(tasks), ["hangs", "main", "other"])
        self.assertEqual([tasks[name]["state"] for name in ("hangs", "main", "other")], ["running", "waiting", "waiting"])
        self.assertEqual([[frame["function"], frame["file"], frame["line"]] for frame in tasks["hangs"]["frames"]],
                         truth["stack"])
        self.assertIn("%s (%s:%d)" % tuple(truth["stack"][-1]), text)
        self.assertEqual((document["changed"], document["unseen"]), (0, []))

    @for_each(pythons.WITH_UVLOOP)
    def test_the_tasks_of_uvloop_are_those_that_it_tells(self, name):
        command = pythons.command_of(pythons.WITH_UVLOOP, name)
        seed = rng.randrange(10 ** 6)
        told = f"{name} seed {seed}; LSC_SEED={SEED}"
        with Process([*command, HERE / "targets/tasks.py", seed, 2, 60, "uvloop"]) as target:
            truth = json.loads(target.next_line("{", 60))
            self.assertIn("uvloop", pathlib.Path(f"/proc/{target.pid}/maps").read_text())
            document = ps(target.pid)
            self.assertTellsTheSame(document, truth, told)
            self.assertEqual({str(loop["tid"]): loop["tasks"] for loop in document["loops"]},
                             {tid: len(tasks) for tid, tasks in truth.items()}, told)

    def test_the_tree_for_eyes_shows_each_task_once_and_says_where_it_goes_round(self):
        with Process([PYTHON, HERE / "targets/tasks.py", rng.randrange(10 ** 6), 1, 30]) as target:
            (tid, truth), = json.loads(target.next_line("{", 60)).items()
            text = loopscope("ps", target.pid).stdout
        lines = text.splitlines()
        self.assertRegex(lines[0], rf"^loop {tid} python3 \(epoll_wait, fd \d+\), busy \d+\.\d %, cpython 3\.[\d.]+: "
                                   rf"{len(truth)} tasks$")
        for task in truth:
            of_task = [line for line in lines if f"(T) {task['name']}  " in line]
            first = [line for line in of_task if "shown above" not in line]
            self.assertEqual(len(first), 1, f"{task['name']}\n{text}")
            self.assertIn("age unknown", first[0])
            outer = lines[lines.index(first[0]) + 1]
            self.assertIn(f"{task['frames'][0][0]} (", outer, text)
            self.assertGreater(len(re.match("[^a-zA-Z]*", outer)[0]), 4, text)
        self.assertEqual(len([line for line in lines if line.startswith("await cycle: ")]), 1, text)
        self.assertEqual(len([line for line in lines if line.endswith("await cycle: shown above")]), 1, text)

    @alone
    def test_ten_thousand_tasks_are_read_in_time(self):
        code = ("import asyncio\nasync def leaf(): await asyncio.sleep(10000)\nasync def mid(): await leaf()\n"
                "async def main():\n all = [asyncio.ensure_future(mid()) for _ in range(10000)]\n"
                " await asyncio.sleep(0.1)\n print('running', flush=True)\n await asyncio.gather(*all)\nasyncio.run(main())")
        with Process([PYTHON, "-c", code]) as target:
            target.next_line("running", 60)
            documents = [ps(target.pid) for _ in range(3)]
        for document in documents:
            self.assertEqual(len(document["tasks"]), 10001)
            self.assertEqual({len(task["awaits"]) for task in document["tasks"]}, {0, 10000})
            self.assertEqual({len(task["frames"]) for task in document["tasks"]}, {1, 3})
            self.assertEqual(document["unseen"], [])
        took = min(document["reading_ns"] for document in documents)
        print(f"10,001 tasks were read in {took / MS:.1f} ms")
        self.assertLess(took, CROWDED * READING)

    @alone
    def test_tasks_that_change_meanwhile_are_counted_and_the_process_goes_on(self):
        """Those that stay are all there, the others are whole or counted; no gap that it has not without us."""
        for name, command in {"machine": pythons.machine, "3.14": lambda: pythons.debian("3.14")}.items():
            with self.subTest(python=name):
                self.check_tasks_that_change(command())

    def check_tasks_that_change(self, command):
        with Process([*command, HERE / "targets/busy_tasks.py"]) as target:
            target.next_line("running")

            def gap(during):
                target.tell("")
                target.next_line()
                result = during()
                target.tell("")
                return int(target.next_line()), result
            alone, _ = zip(*(gap(lambda: time.sleep(1.3)) for _ in range(3)))
            watched, documents = zip(*(gap(lambda: ps(target.pid)) for _ in range(3)))
        for document in documents:
            names = [task["name"] for task in document["tasks"]]
            self.assertEqual({f"stays-{i}" for i in range(20)} - set(names), set())
            for task in document["tasks"]:
                if task["name"].startswith("stays-"):
                    self.assertEqual([frame["function"] for frame in task["frames"]], ["stay", "Event.wait"])
                self.assertTrue(task["frames"], task)
                self.assertIn(task["frames"][0]["function"], ("stay", "short", "parent", "listen", "main"), task)
            self.assertEqual(document["unseen"], [])
        print(f"changed while being read: {[document['changed'] for document in documents]}; longest gap of the "
              f"target's own ticker: {min(alone) / MS:.1f} ms alone, {min(watched) / MS:.1f} ms watched")
        self.assertLess(min(watched), 2 * min(alone) + 20 * MS)

    @alone
    def test_the_tasks_of_a_ring_are_those_that_its_program_tells(self):
        began = time.monotonic_ns()
        with Process([TARGETS / "ring_tasks"]) as target:
            target.next_line("running")
            truth = [json.loads(line) for line in target.lines if line.startswith("{")]
            document = ps(target.pid)
        most = time.monotonic_ns() - began
        names = {task["id"]: task["name"] for task in document["tasks"]}
        tasks = {task["name"]: task for task in document["tasks"]}
        self.assertEqual(len(document["tasks"]), len(truth) + 1, "these and their parent")
        for theirs in truth:
            task = tasks[theirs["name"]]
            self.assertEqual((task["source"], task["loop"], task["state"]), ("ring", target.pid, "waiting"))
            self.assertEqual(task["waiting_on"], theirs["waiting_on"])
            self.assertEqual([names[other] for other in task["awaits"]], theirs["awaits"])
            self.assertEqual(task["spawn_site"]["line"], theirs["line"])
            self.assertTrue(task["spawn_site"]["file"].endswith("ring_tasks.c"))
            self.assertTrue(1000 * MS < task["age_ns"] < most, task["age_ns"])
        self.assertEqual([(loop["tid"], loop["tasks"], loop["source"]) for loop in document["loops"]],
                         [(target.pid, len(truth) + 1, "both")])
        self.assertEqual(document["cycles"], [])


class Host(Case):
    def test_every_loop_of_the_host_at_once_and_nothing_else(self):
        share = rng.uniform(0.2, 0.7)
        started, skipped = {}, []
        with contextlib.ExitStack() as stack:
            for name in ("redis", "nginx", "node", "uring", "poll"):
                try:
                    started[name] = stack.enter_context(APP[name]())
                except Exception as error:  # not installed here
                    if type(error).__name__ != "SkipTest":
                        raise
                    skipped.append(name)
                    print(f"skipped {name}: {error}")
            idle = stack.enter_context(Process([PYTHON, HERE / "targets/tasks.py", 1, 2, 5]))
            truth = json.loads(idle.next_line("{", 60))
            busy = stack.enter_context(Process([PYTHON, HERE / "targets/share.py", share]))
            busy.next_line("running")
            ring = stack.enter_context(Process([TARGETS / "ring_tasks"]))
            ring.next_line("running")

            def used():
                busy.tell("")
                return [int(word) for word in busy.next_line().split()]
            cpu, wall = used()
            document = ps()
            cpu, wall = [now - before for now, before in zip(used(), (cpu, wall))]
            loops = {loop["tid"]: loop for loop in document["loops"]}
            told = f"seed {SEED}, share {share}, {json.dumps(document['loops'])}"

            pids = {app.pid for app in started.values()} | {idle.pid, busy.pid, ring.pid}
            if "nginx" in started:
                pids |= started["nginx"].loops()
            mine = {tid for tid, loop in loops.items() if loop["pid"] in pids}
            expected = {int(tid) for tid in truth} | {busy.pid, ring.pid}
            for name, app in started.items():
                expected |= set() if name == "poll" else app.loops()  # it has not turned: not certain
            self.assertEqual(mine - (started["poll"].loops() if "poll" in started else set()), expected, told)

            calls = {"redis": "epoll_wait", "nginx": "epoll_wait", "node": "epoll_pwait", "uring": "io_uring_enter"}
            for name, call in calls.items():
                for tid in started[name].loops() if name in started else ():
                    self.assertEqual(loops[tid]["primary_wait"]["syscall"], call, told)
                    self.assertLess(loops[tid]["utilization"], 0.3, told)
            for name, ask in {"redis": ["redis-server", "--version"], "nginx": ["/usr/sbin/nginx", "-v"],
                              "node": ["node", "--version"]}.items():
                for tid in started[name].loops() if name in started else ():
                    said = run(*ask)
                    version = re.search(r"(?:v=|nginx/|v)(\d+\.\d+\.\d+)", said.stdout + said.stderr)[1]
                    self.assertEqual((loops[tid]["runtime"], loops[tid]["runtime_version"]), (name, version), told)
            for tid, tasks in truth.items():
                self.assertEqual(loops[int(tid)]["tasks"], len(tasks), told)
            self.assertEqual(loops[ring.pid]["source"], "both", told)
            self.assertEqual(loops[ring.pid]["runtime"], "loopscope", told)
            self.assertEqual(loops[busy.pid]["tasks"], 2, told)
            # what it computed, and what it waited for a CPU meanwhile
            self.assertGreater(loops[busy.pid]["utilization"], cpu / wall - 0.1, told)
            self.assertLess(loops[busy.pid]["utilization"], share + 0.25, told)
            ours = {BIN / "loopscope", BIN / "loopscoped"}
            for loop in document["loops"]:
                with contextlib.suppress(FileNotFoundError):
                    self.assertNotIn(pathlib.Path(os.readlink(f"/proc/{loop['pid']}/exe")), ours, told)
            text = loopscope("ps").stdout.splitlines()
            self.assertEqual(text[0].split(), ["PID", "TID", "COMM", "RUNTIME", "WAIT", "BUSY", "TASKS"])
            for tid in expected:
                self.assertTrue(any(line.split()[1:2] == [str(tid)] for line in text), "\n".join(text))

    def test_what_a_loop_without_tasks_watches_is_what_its_clients_and_ports_are(self):
        if not pathlib.Path("/usr/bin/redis-server").exists():
            self.skipTest("no /usr/bin/redis-server")
        with APP["redis"]() as redis, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", redis.port)))
                       for _ in range(rng.randint(1, 60))]
            for client in clients:  # it watches them
                client.sendall(b"PING\r\n")
                self.assertEqual(client.recv(100), b"+PONG\r\n")
            loop, = ps(redis.pid)["loops"]
            text = loopscope("ps", redis.pid).stdout
            watched = [entry for entry in loop["watched"] if entry["kind"] == "socket"]
            here = f"127.0.0.1:{redis.port}"
            self.assertEqual(sorted(entry["peer"] for entry in watched if entry["peer"]),
                             sorted("%s:%d" % client.getsockname() for client in clients))
            self.assertEqual({entry["local"] for entry in watched if entry["peer"]}, {here})
            self.assertEqual({entry["state"] for entry in watched if entry["peer"]}, {"established"})
            self.assertTrue(any(entry["state"] == "listening" and entry["local"].endswith(f":{redis.port}")
                                for entry in watched), watched)
            self.assertEqual(loop["watched_omitted"], 0)
            for client in clients:
                self.assertIn("socket in  %s <-> %s:%d  established" % (here, *client.getsockname()), text)
            self.assertIn("tasks unknown\n", text)
            self.assertIn("    timers: unknown\n", text)

    def test_it_costs_nothing_afterwards(self):
        """No program of ours stays in the kernel."""
        if not shutil.which("bpftool"):
            self.skipTest("no bpftool")

        def programs():
            return len(json.loads(run("bpftool", "-j", "prog").stdout))
        before = programs()
        with Process([PYTHON, HERE / "targets/blocker.py"]) as target:
            target.next_line("running")
            self.assertIn(target.pid, [loop["pid"] for loop in ps()["loops"]])
        wait_until(lambda: programs() <= before, 2, "end of the kernel's programs, which it frees by and by")


RESTS = """
import sys, time

def {0}(seconds):
    {1}

def outer(seconds):
    {0}(seconds)
    print("over", flush=True)

print("began", flush=True)
outer(60)
"""


@calm
class Held(Case):
    """A first thread that turns no loop while it is looked at."""

    def assertHeld(self, pid, state, syscall, *leaf, status=0):
        document = ps(pid, status=status)
        held = document["main_thread"]
        self.assertEqual((held["tid"], held["state"], held["syscall"]), (pid, state, syscall), held)
        self.assertGreaterEqual(held["for_ns"], 1000 * MS)
        self.assertEqual(held["frames"][:len(leaf)], list(leaf), held)

    def test_a_server_in_c_that_sleeps_and_one_that_turns_again(self):
        with Redis(self.dir) as redis:
            with Process(["redis-cli", "-s", redis.socket, "debug", "sleep", "4"]) as client:
                syscall = pathlib.Path(f"/proc/{redis.pid}/syscall")
                wait_until(lambda: syscall.read_text().split()[0] == "230", 5, "its clock_nanosleep")
                self.assertHeld(redis.pid, "sleeps", "clock_nanosleep", "debugCommand", "call", "processCommand", status=1)
                client.next_line("OK")
            self.assertIsNone(ps(redis.pid)["main_thread"])

    def test_python_that_sleeps_and_what_it_is_in(self):
        name = f"rest_{rng.randint(100, 999)}"
        program = self.dir / "rests.py"
        program.write_text(RESTS.format(name, "time.sleep(seconds)"))
        with Process([PYTHON, program]) as target:
            target.next_line("began")
            self.assertHeld(target.pid, "sleeps", "clock_nanosleep", f"{name} (rests.py:5)", "outer (rests.py:8)",
                            "<module> (rests.py:12)", status=1)

    def test_node_that_computes(self):
        name = f"work{rng.randint(100, 999)}"
        script = f"function {name}() {{ for (;;) Math.sqrt(2); }}\nsetTimeout(() => {name}(), 100); console.log('began')"
        with Process(["node", "-e", script]) as target:
            target.next_line("began")
            wait_until(lambda: ps(target.pid)["main_thread"], 20, "that it computes")
            self.assertHeld(target.pid, "runs", None, f"{name} ([eval]:1)", "(anonymous) ([eval]:2)")

    def test_one_that_goes_from_one_thing_to_the_next(self):
        with Process(["bash", "-c", "echo began; while :; do sleep 0.1; done"]) as target:
            target.next_line("began")
            self.assertIsNone(ps(target.pid, status=1)["main_thread"])


@calm
class Refused(Case):
    def assertSays(self, text, status, *argv, program=(LOOPSCOPE,)):
        done = run(*program, "ps", *argv, status=status)
        self.assertEqual(done.stderr, f"loopscope ps: {text}\n")
        self.assertEqual(done.stdout, "")

    def copy_for_nobody(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        folder = self.dir / "bin"
        folder.mkdir()
        for name in ("loopscope", "loopscoped"):
            shutil.copy(BIN / name, folder)
        shutil.copy(TARGETS / "ring_tasks", folder)
        return folder, (*NOBODY, folder / "loopscope")

    def test_a_process_that_is_not_there_or_has_no_life(self):
        self.assertSays("no process 4199999", 4, 4199999)
        zombie = subprocess.Popen(["true"])
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        self.assertSays(f"process {zombie.pid} has ended and waits for its parent (a zombie)", 4, zombie.pid)
        zombie.wait()

    def test_a_process_without_a_loop(self):
        with Process(["sleep", "100"]) as target:
            done = run(LOOPSCOPE, "ps", target.pid, status=1)
            self.assertEqual(done.stderr, f"loopscope ps: process {target.pid} (sleep): no event loop found\n")
            self.assertRegex(done.stdout, rf"\Athread {target.pid} sleep turns no loop: "
                             r"it has been in clock_nanosleep for \d.* s and more:\n(    .+\n)+\Z")
            document = ps(target.pid, status=1)
            self.assertEqual((document["loops"], document["tasks"], document["comm"]), ([], [], "sleep"))

    def test_itself(self):
        with Process([BIN / "loopscoped", "--socket", self.dir / "socket"]) as own:
            self.assertSays(f"process {own.pid} is loopscope's own: it does not watch itself", 4, own.pid)

    @alone
    def test_another_build_of_it_is_not_listed(self):
        with Process([PYTHON, HERE / "targets/share.py", 0.1]) as target:
            target.next_line("running")
            for name, is_listed in (("watcher", True), ("loopscoped", False)):
                program, place = self.dir / name, self.dir / (name + ".socket")
                program.write_bytes((BIN / "loopscoped").read_bytes())
                program.chmod(0o755)
                with Process([program, "--socket", place]) as own:
                    wait_until(place.exists, 10, "its socket")
                    with Attach(target.pid, self.capture, env={**os.environ, "LOOPSCOPE_SOCKET": str(place)}) as attach:
                        mine = {own.pid, *descendants_of(own.pid)}
                        self.assertGreaterEqual(len(mine), 4)
                        self.assertEqual(bool(mine & {loop["pid"] for loop in ps()["loops"]}), is_listed, name)
                        program.unlink()  # as an upgrade does
                        self.assertEqual(bool(mine & {loop["pid"] for loop in ps()["loops"]}), is_listed, name)
                        attach.stop()

    def test_another_users_process_without_privilege(self):
        _, program = self.copy_for_nobody()
        with Process(["sleep", "100"]) as target:
            self.assertSays(f"process {target.pid} belongs to another user; run as root", 4, target.pid, program=program)

    @alone
    def test_without_privilege_the_rings_of_ones_own_programs_remain(self):
        folder, program = self.copy_for_nobody()
        missing = ("loops without a ring: not seen: cannot load kernel probes: permission denied; run as root or with "
                   "CAP_BPF and CAP_PERFMON")
        done = run(*program, "ps", status=4)
        self.assertEqual(done.stderr.splitlines()[0], f"loopscope ps: {missing}")
        self.assertRegex(done.stderr.splitlines()[1], r"^loopscope ps: no event loop found in \d+ processes$")
        with Process([*NOBODY, folder / "ring_tasks"]) as target:
            target.next_line("running")
            done = run(*program, "ps")
            self.assertEqual(done.stderr, f"loopscope ps: {missing}\n")
            self.assertEqual([line.split()[1] for line in done.stdout.splitlines()[1:]], [str(target.pid)])
            document = ps(target.pid, program=program)
        loop, = document["loops"]
        self.assertEqual((loop["tid"], loop["source"], loop["primary_wait"]), (target.pid, "ring", None))
        self.assertLess(loop["utilization"], 0.2)
        self.assertEqual(len(document["tasks"]), loop["tasks"])
        self.assertEqual([unseen["what"] for unseen in document["unseen"]], ["loops without a ring"])

    def test_usage(self):
        for argv in (["x"], ["1,2"], ["1", "2"], ["--json=x"], ["-p"], ["-p", "x"], ["-p", "1", "2"], ["0"], ["99999999999"]):
            done = run(LOOPSCOPE, "ps", *argv, status=2)
            self.assertEqual(done.stdout, "")
            self.assertTrue(done.stderr.startswith("loopscope ps: "), done.stderr)


if __name__ == "__main__":
    main()
