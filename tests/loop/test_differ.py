# SPDX-License-Identifier: MIT
"""The library against asyncio: random programs, run by both, must do the same.

test_differ.py RUNNER [--seed N] [--programs N | --seconds N] [--show]

RUNNER (differ_run.c) runs a program's text with the library; Asyncio below runs it with CPython. Two kinds of
programs are made. In dense ones tasks act one on the other in the same instant, and the order of everything is
compared; they use what takes as many turns of the loop here as there. In sparse ones, which use everything, each action
has an instant to itself, and what each task sees, and when, is compared.
"""
import argparse
import asyncio
import collections
import random
import selectors
import subprocess
import sys
import time

TASKS, FUTURES = 16, 4
LATER = 10**12
CANCELED, NOENT, PERM, DEADLK = -125, -2, -1, -35
WHAT = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)
BLOCKS = ("timeout", "group", "lock", "permit", "soon", "later")
# What came, or got its present meaning, with a version of Python.
SINCE = {"shutdown": (3, 13), "gspawn": (3, 13), "group": (3, 13), "cwait": (3, 13), "permit": (3, 13), "uncancel": (3, 13),
         "each": (3, 13), "waitfor": (3, 12), "breset": (3, 11), "timeout": (3, 11)}


class Err(Exception):
    pass


ERRNO = {asyncio.InvalidStateError: -114, asyncio.QueueFull: -11, asyncio.QueueEmpty: -11, asyncio.BrokenBarrierError: -32,
         asyncio.TimeoutError: -110, asyncio.CancelledError: CANCELED, ValueError: -22}
if hasattr(asyncio, "QueueShutDown"):
    ERRNO[asyncio.QueueShutDown] = -108


def errno_of(e):
    if isinstance(e, Err):
        return e.args[0]
    if type(e) not in ERRNO:
        raise SystemExit(2) from e
    return ERRNO[type(e)]


# ---- asyncio, with virtual time ----

class Jump(selectors.DefaultSelector):
    """Waits by moving the clock on to the next timer."""
    def select(self, timeout=None):
        assert timeout is not None, "nothing left to wait for"
        if timeout > 0:
            self.loop.now = self.loop._scheduled[0]._when
        return []


class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now = 10**9
        selector = Jump()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1
        self.set_exception_handler(lambda *_: None)  # errors never taken are no part of this

    def time(self):
        return self.now


class Condition(asyncio.Condition):
    """A cancelled waiter passes on a notification that it has got, and makes none up."""
    def _notify(self, n):
        waiter = sys._getframe(1).f_locals.get("fut")  # of wait(), which passes on
        if waiter is None or waiter.done() and not waiter.cancelled():
            super()._notify(n)


class Gather(asyncio.Future):
    """Cancelling it waits for all members. Otherwise asyncio's own.

    It ends a turn after its member, and is cancelled even in between; ours has ended by then. So what is cancelled in
    the instant in which a member ends tells nothing of either: the comparison ends there."""
    def __init__(self, program, members, all_of_them):
        super().__init__()
        self.asked = False
        self.program = program
        self.members, self.all = members, all_of_them
        for m in () if all_of_them else members:
            m.add_done_callback(self.member_ended)
        self.inner = asyncio.gather(*members, return_exceptions=True)
        self.inner.add_done_callback(self.end)

    def member_ended(self, m):
        if not self.asked and not self.done() and (m.cancelled() or m.exception()):
            super().cancel() if m.cancelled() else self.set_exception(m.exception())

    def end(self, inner):
        try:
            self.done() or self.set_result(inner.result())
        except asyncio.CancelledError:
            super().cancel()

    def cancel(self, msg=None):
        ended = [m for m in self.members if m.done()]
        failed = [m for m in ended if m.cancelled() or m.exception()]
        if not self.done() and (len(ended) == len(self.members) or failed and not self.all and not self.asked):
            self.program.until = min(self.program.until, self.get_loop().now)
        self.asked = not self.done() and self.inner.cancel()
        return self.asked


class Asyncio:
    def __init__(self, text):
        self.lines = [line.split() for line in text]
        self.says = []
        self.begin, self.ends = {}, {}
        opened = []
        for at, (op, *args) in enumerate(self.lines):
            if op in BLOCKS + ("task",):
                opened.append(at)
            elif op == "end":
                self.ends[opened[-1]] = at
                opened.pop()
            if op == "task":
                self.begin[int(args[0])] = at
        self.groups = collections.defaultdict(list)
        self.until = sys.maxsize  # what comes before is to be compared

    def run(self):
        with asyncio.Runner(loop_factory=Loop) as runner:
            self.loop = runner.get_loop()
            r = runner.run(self.main())
        return self.says + [f"ended {r}"]

    async def main(self):
        self.futures = dict([(f"f{i}", self.loop.create_future()) for i in range(FUTURES)], t0=asyncio.current_task())
        self.events = [asyncio.Event() for _ in range(2)]
        self.locks = [asyncio.Lock() for _ in range(2)]
        self.owners = [None, None]
        self.condition = Condition(self.locks[1])
        self.semaphore = asyncio.Semaphore(1)
        self.barrier = asyncio.Barrier(2)
        self.queues = [asyncio.Queue(1), asyncio.LifoQueue(), asyncio.PriorityQueue(2)]
        return await self.task(0)

    async def task(self, me):
        at = self.begin[me]
        await self.block(me, at)
        return me * 10

    def say(self, me, at, op, r):
        self.says.append(f"{self.loop.now} {me} {at} {op} {r}")

    def stubborn(self, me):
        return self.lines[self.begin[me]][2] == "1"

    async def block(self, me, first):
        at = first + 1
        while at < self.ends[first]:
            op, *args = self.lines[at]
            try:
                r = await self.operation(me, at, op, args)
            except (Exception, asyncio.CancelledError) as e:
                r = errno_of(e)
            self.say(me, at, op, int(r or 0))
            if op == "fail":
                raise Err(r)
            if r == CANCELED and not self.stubborn(me):
                raise asyncio.CancelledError
            at = self.ends.get(at, at) + 1

    def call_back(self, first):
        for at in range(first + 1, self.ends[first]):
            op, *args = self.lines[at]
            try:
                r = self.operation(-1, at, op, args).send(None)
            except StopIteration as e:
                r = e.value
            except (Exception, asyncio.CancelledError) as e:
                r = errno_of(e)
            self.say(-1, at, op, int(r or 0))

    def has_ended(self, at, f):
        self.say(-1, at, "ended", CANCELED if f.cancelled() else errno_of(f.exception()) if f.exception() else f.result())

    async def operation(self, me, at, op, args):
        futures, names = self.futures, [a for a in args if a[0] in "tf"]
        numbers = [int(a) for a in args if a[0] not in "tf"]
        there = [futures[n] for n in names if n in futures]
        f, n = futures.get(names[0] if names else None), numbers[0] if numbers else None
        if op in ("await", "cancel", "shield", "result", "onend", "waitfor") and not f:
            return NOENT
        match op:
            case "sleep": await asyncio.sleep(n)
            case "yield": await asyncio.sleep(0)
            case "fail": return n
            case "uncancel": return asyncio.current_task().uncancel()
            case "spawn" | "gspawn":
                return self.spawn(me, names[0], op == "gspawn")
            case "await":
                return DEADLK if f is asyncio.current_task() else await f
            case "cancel": return f.cancel()
            case "shield": return await asyncio.shield(f)
            case "waitfor": return await asyncio.wait_for(f, n)
            case "result":
                return f.result() if f.done() else -11
            case "onend": f.add_done_callback(lambda f: self.has_ended(at, f))
            case "set":
                f.set_result(numbers[0]) if numbers[0] >= 0 else f.set_exception(Err(numbers[0]))
            case "gather":
                return await self.gather(there, n == 1)
            case "wait":
                if not there:
                    return -22
                done, _ = await asyncio.wait(there, timeout=None if numbers[1] < 0 else numbers[1], return_when=WHAT[n])
                return len(done) if n == 2 else min(len(done), 1)  # others may end before it runs
            case "each": await self.each(me, at, there)
            case "timeout":
                async with asyncio.timeout(n):
                    await self.block(me, at)
            case "group": return await self.group(me, at)
            case "lock": return await self.with_lock(me, at, n)
            case "permit":
                async with self.semaphore:
                    await self.block(me, at)
            case "soon": self.loop.call_soon(self.call_back, at)
            case "later": self.loop.call_later(n, self.call_back, at)
            case "reap": return await self.reap()
            case _: return await self.synchronise(me, op, n, numbers)

    async def synchronise(self, me, op, n, numbers):
        match op:
            case "ewait": await self.events[n].wait()
            case "eset": self.events[n].set()
            case "eclear": self.events[n].clear()
            case "cwait" | "cnotify":
                if self.owners[1] != me:
                    return PERM
                if op == "cnotify":
                    return self.condition.notify(n)
                self.owners[1] = None
                try:
                    await self.condition.wait()
                finally:
                    self.owners[1] = me
            case "bwait": return await self.barrier.wait()
            case "babort": await self.barrier.abort()
            case "breset": await self.barrier.reset()
            case "put": await self.queues[n].put(numbers[1])
            case "putnow": self.queues[n].put_nowait(numbers[1])
            case "get": return await self.queues[n].get()
            case "getnow": return self.queues[n].get_nowait()
            case "taskdone": self.queues[n].task_done()
            case "join": await self.queues[n].join()
            case "shutdown": self.queues[n].shutdown()
            case _: raise AssertionError(op)

    def spawn(self, me, name, in_group):
        if name in self.futures:
            return -17
        body = self.task(int(name[1:]))
        try:
            if in_group and not self.groups[me]:
                body.close()
                return NOENT
            self.futures[name] = (self.groups[me][-1] if in_group else asyncio).create_task(body)
        except RuntimeError:
            body.close()
            return PERM

    async def gather(self, members, all_of_them):
        total = 0
        for r in await Gather(self, members, all_of_them):
            total = total * 7 + (r if isinstance(r, int) else errno_of(r))
        return total & 0xffffff

    async def each(self, me, at, members):
        name = {f: int(n[1:]) + (TASKS if n[0] == "f" else 0) for n, f in self.futures.items()}
        members = [f for f in members if not f.done()]
        if members:
            async for f in asyncio.as_completed(members):
                self.say(me, at, "next", name[f])

    async def group(self, me, at):
        own = None
        try:
            async with asyncio.TaskGroup() as g:
                self.groups[me].append(g)
                try:
                    await self.block(me, at)
                except Err as e:
                    own = e
                    raise
        except BaseExceptionGroup as e:
            return errno_of(own or e.exceptions[0])
        finally:
            self.groups[me].pop()

    async def with_lock(self, me, at, n):
        if self.owners[n] == me:
            return DEADLK
        async with self.locks[n]:
            self.owners[n] = me
            try:
                await self.block(me, at)
            finally:
                self.owners[n] = None

    async def reap(self):
        alive, rounds = TASKS, 0
        while alive > 0 and rounds < 100:
            alive = [self.futures[f"t{i}"] for i in range(1, TASKS) if f"t{i}" in self.futures]
            alive = sum([f.cancel() for f in alive if not f.done()])
            await asyncio.sleep(LATER)
            rounds += 1
        return rounds


# ---- making programs ----

DENSE = "yield yield sleep spawn await cancel set result onend soon later ewait eset eclear lock cwait cnotify permit put putnow " \
        "get getnow taskdone join shutdown timeout uncancel fail".split()
SPARSE = DENSE + "gather wait each shield waitfor group gspawn bwait babort breset gather wait group gspawn gspawn".split()
IN_CALLS = "cancel set eset eclear spawn putnow getnow taskdone result".split()


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.sparse = self.rng.random() < 0.5
        self.operations = [o for o in (SPARSE if self.sparse else DENSE) if sys.version_info >= SINCE.get(o, (3, 0))]
        self.operations = self.rng.sample(self.operations, min(len(self.operations), self.rng.randint(6, 30)))
        self.operations += ["spawn", "await", "yield"]
        self.tasks = self.rng.randint(3, 9)
        self.text = []

    def delay(self):
        """No two sums of these are equal."""
        return self.rng.randrange(1, 10**9)

    def future(self, after):
        """Tasks await later ones only: a circle is a deadlock there, and overflows the stack when it is cancelled."""
        if after + 1 < self.tasks and self.rng.random() < 0.7:
            return f"t{self.rng.randrange(after + 1, self.tasks)}"
        return f"f{self.rng.randrange(FUTURES)}"

    def some(self, me):
        return " ".join(sorted({self.future(me) for _ in range(self.rng.randint(1, 4))}))

    def block(self, me, length, depth, ops):
        for _ in range(length):
            op, r = self.rng.choice(ops), self.rng
            if op in BLOCKS and depth == 3:
                continue
            if self.sparse and me >= 0 and ops is not IN_CALLS:
                self.text.append(f"sleep {self.delay()}")
            arguments = {
                "sleep": lambda: self.delay(), "fail": lambda: -r.randint(1, 20), "set": lambda: f"f{r.randrange(FUTURES)} {r.randint(-20, 20)}",
                "spawn": lambda: f"t{r.randrange(me + 1, self.tasks)}", "gspawn": lambda: f"t{r.randrange(me + 1, self.tasks)}",
                "await": lambda: self.future(me), "shield": lambda: self.future(me), "result": lambda: self.future(0),
                "onend": lambda: self.future(0), "cancel": lambda: self.future(me if not self.sparse else 0),
                "waitfor": lambda: f"{self.delay()} {self.future(me)}", "gather": lambda: f"{r.randrange(2)} {self.some(me)}",
                "wait": lambda: f"{r.randrange(3)} {r.choice([-1, self.delay()])} {self.some(me)}", "each": lambda: self.some(me),
                "timeout": lambda: r.choice([self.delay(), self.delay(), 0]), "later": lambda: self.delay(), "lock": lambda: r.randrange(2),
                "ewait": lambda: r.randrange(2), "eset": lambda: r.randrange(2), "eclear": lambda: r.randrange(2),
                "cnotify": lambda: r.randint(1, 2), "put": lambda: f"{r.randrange(3)} {r.randint(0, 9)}",
                "putnow": lambda: f"{r.randrange(3)} {r.randint(0, 9)}", "get": lambda: r.randrange(3), "getnow": lambda: r.randrange(3),
                "taskdone": lambda: r.randrange(3), "join": lambda: r.randrange(3), "shutdown": lambda: r.randrange(3)}
            if "spawn" in op and me + 1 >= self.tasks:
                continue
            self.text.append(f"{op} {arguments.get(op, lambda: '')()}".strip())
            if op in BLOCKS:
                in_calls = op in ("soon", "later")
                self.block(me, r.randint(1, 3), 3 if in_calls else depth + 1, IN_CALLS if in_calls else ops)
                self.text.append("end")

    def program(self):
        for me in range(self.tasks):
            self.text.append(f"task {me} {int(me > 0 and self.rng.random() < 0.2)}")
            if me == 0:
                for k in range(1, self.tasks):
                    if self.rng.random() < 0.6:
                        self.text.append(f"spawn t{k}")
                self.text += [f"sleep {LATER}", "reap"]
            else:
                self.block(me, self.rng.randint(2, 9), 0, self.operations)
            self.text.append("end")
        return self.text + ["run"]


# ---- comparing ----

def by_task(lines, until):
    tasks = collections.defaultdict(list)
    for line in lines:
        if until < sys.maxsize and (line.startswith("ended") or int(line.split()[0]) >= until):
            break
        who = line.split()[1:3]
        tasks[" ".join(who) if who[0] == "-1" else who[0]].append(line)  # each call for itself
    return tasks


def differs(maker, ours, theirs, until):
    return by_task(ours, until) != by_task(theirs, until) if maker.sparse else ours != theirs


def show(seed, maker, ours, theirs):
    print(f"seed {seed} ({'sparse' if maker.sparse else 'dense'}): asyncio and the library differ")
    print("\n".join(f"{n:3} {line}" for n, line in enumerate(maker.text)))
    for a, b in zip(theirs + [""] * len(ours), ours + [""] * len(theirs)):
        if a or b:
            print(f"{a:45} {'' if a == b else '<>'} {b}")


def run_ours(runner):
    lines = []
    for line in runner.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("ended"):
            break
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--programs", type=int)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    print(f"seed {args.seed}, Python {sys.version.split()[0]}", flush=True)
    runner = subprocess.Popen([args.runner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until, n, bad = time.monotonic() + args.seconds, 0, 0
    while n < args.programs if args.programs else time.monotonic() < until:
        seed = args.seed + n
        n += 1
        maker = Maker(seed)
        text = maker.program()
        program = Asyncio(text)
        theirs = program.run()
        try:
            runner.stdin.write("\n".join(text) + "\n")
            runner.stdin.flush()
        except BrokenPipeError:
            pass
        ours = run_ours(runner)
        different = differs(maker, ours, theirs, program.until)
        if args.show or different:
            bad += different
            show(seed, maker, ours, theirs)
        if bad or not ours or not ours[-1].startswith("ended"):
            break
    runner.stdin.close()
    print(f"{n} programs")
    return 1 if bad or runner.wait() else 0


if __name__ == "__main__":
    sys.exit(main())
