# SPDX-License-Identifier: MIT
"""The library against asyncio: random programs, run by both, must do the same.

test_differ.py RUNNER [--seed N] [--programs N | --seconds N] [--show]

What failed is told in less than 30 lines at the end; --seed N --programs 1 --show has all of it.

RUNNER (differ_run.c) runs a program's text with the library; Asyncio below runs it with CPython. Two kinds of
programs are made. In dense ones tasks act one on the other in the same instant, and the order of everything is
compared; they use what takes as many turns of the loop here as there. In sparse ones, which use everything, each action
has an instant to itself, and what each task sees, and when, is compared.
"""
import argparse
import asyncio
import collections
import contextlib
import itertools
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from programs import BLOCKS, FUTURES, LATER, TASKS, Maker  # noqa: E402

PATIENCE = 60  # seconds, for one program
CANCELED, NOENT, PERM, DEADLK, EXIST, ALREADY, OVERFLOW = -125, -2, -1, -35, -17, -114, -75
WHAT = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)


class Err(Exception):
    pass


class Deadlock(BaseException):
    """Nothing is left to wait for: a task that wants its condition's lock back is awaited by who has that."""


ERRNO = {asyncio.InvalidStateError: -114, asyncio.QueueFull: -11, asyncio.QueueEmpty: -11, asyncio.BrokenBarrierError: -32,
         asyncio.TimeoutError: -110, asyncio.CancelledError: CANCELED, ValueError: -22}
if hasattr(asyncio, "QueueShutDown"):
    ERRNO[asyncio.QueueShutDown] = -108


def errno_of(e):
    if isinstance(e, Err):
        return e.args[0]
    if type(e) not in ERRNO:
        raise SystemExit(repr(e)) from e
    return ERRNO[type(e)]


# ---- asyncio, with virtual time ----

class Jump(selectors.DefaultSelector):
    """Waits by moving the clock on to the next timer."""
    def select(self, timeout=None):
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self.loop.now = self.loop._scheduled[0]._when
        return []


class Task(asyncio.Task):
    """A task that several members of a gather await is asked once by one request, not once by each."""
    asked_in = 0

    def cancel(self, msg=None):
        with self.get_loop().one_request() as request:
            if self.asked_in == request and not self.done():
                return True
            self.asked_in = request
            return super().cancel()


class Future(asyncio.Future):
    """A shield ends a turn after what it shields, and is cancelled even in between: see Gather."""
    program = shielded = None

    def cancel(self, msg=None):
        if self.shielded and self.shielded.done() and not self.done():
            self.program.tells_nothing_from_here()
        return super().cancel(msg)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now = 10**9
        self.asking, self.request = False, 0
        selector = Jump()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1
        self.set_task_factory(lambda loop, coro, **kwargs: Task(coro, loop=loop, **kwargs))
        self.set_exception_handler(lambda *_: None)  # errors never taken are no part of this

    def time(self):
        return self.now

    def create_future(self):
        return Future(loop=self)

    @contextlib.contextmanager
    def one_request(self):
        """Its number: what is asked because of another request is asked with that."""
        outermost, self.asking = not self.asking, True
        self.request += outermost
        try:
            yield self.request
        finally:
            self.asking = not outermost


class Lock(asyncio.Lock):
    """A cancelled waiter gives what it is passed on to the next one when it runs; ours has left by then."""
    def __init__(self, program):
        super().__init__()
        self.program = program

    def _wake_up_first(self):
        if self._waiters and self._waiters[0].cancelled():
            self.program.tells_nothing_from_here()
        super()._wake_up_first()


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
            self.program.tells_nothing_from_here()
        with self.get_loop().one_request():
            self.asked = not self.done() and self.inner.cancel()
        return self.asked


class Asyncio:
    def __init__(self, text, sparse):
        self.lines = [line.split() for line in text]
        self.sparse = sparse
        self.cancelled_at = {}  # when each task was last
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
        self.timeouts = collections.defaultdict(list)
        self.callbacks = {}  # by line
        self.handle = None   # of the latest call
        self.counter = 0
        self.until = sys.maxsize  # what comes before is to be compared

    def run(self):
        with asyncio.Runner(loop_factory=Loop) as runner:
            self.loop = runner.get_loop()
            r = runner.run(self.main())
        return self.says + [f"ended {r}"]

    async def main(self):
        self.futures = dict([(f"f{i}", self.loop.create_future()) for i in range(FUTURES)], t0=asyncio.current_task())
        self.events = [asyncio.Event() for _ in range(2)]
        self.locks = [Lock(self) for _ in range(2)]
        self.owners = [None, None]
        self.condition = Condition(self.locks[1])
        self.loose = Lock(self)  # acquired and released by whoever comes
        self.loose_owner = None
        self.semaphore = asyncio.Semaphore(1)
        self.bounded = asyncio.BoundedSemaphore(2)
        self.barrier = asyncio.Barrier(2)
        self.queues = [asyncio.Queue(1), asyncio.LifoQueue(), asyncio.PriorityQueue(2)]
        return await self.task(0)

    async def task(self, me):
        at = self.begin[me]
        await self.block(me, at)
        return me * 10

    def tells_nothing_from_here(self):
        self.until = min(self.until, self.loop.now)

    def say(self, me, at, op, r):
        r = 0 if isinstance(r, list) else int(r or 0)  # a gather as a future ends with 0
        self.says.append(f"{self.loop.now} {me} {at} {op} {r}")

    def stubborn(self, me):
        return self.lines[self.begin[me]][2] == "1"

    async def block(self, me, first):
        at = first + 1
        while at < self.ends[first]:
            op, *args = self.lines[at]
            if op == "cancel" and self.sparse and self.cancelled_at.get(me) == self.loop.now:
                self.tells_nothing_from_here()  # its sleep was cut short: two requests in one instant
            try:
                r = await self.operation(me, at, op, args)
            except (Exception, asyncio.CancelledError) as e:
                r = errno_of(e)
            self.say(me, at, op, r)
            if r == CANCELED:
                self.cancelled_at[me] = self.loop.now
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
            self.say(-1, at, op, r)

    def has_ended(self, at, f):
        self.say(-1, at, "ended", CANCELED if f.cancelled() else errno_of(f.exception()) if f.exception() else f.result())

    async def operation(self, me, at, op, args):
        futures, names = self.futures, [a for a in args if a[0] in "tfg"]
        numbers = [int(a) for a in args if a[0] not in "tfg"]
        there = [futures[n] for n in names if n in futures]
        f, n = futures.get(names[0] if names else None), numbers[0] if numbers else None
        if op in ("await", "cancel", "shield", "result", "onend", "offend", "waitfor") and not f:
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
            case "onend":
                self.callbacks[at] = lambda f: self.has_ended(at, f)
                f.add_done_callback(self.callbacks[at])
            case "offend": return f.remove_done_callback(self.callbacks.get(n))
            case "shieldas" | "gatheras": return self.make(names[0], op, n, there)
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
                async with asyncio.timeout(n) as scope:
                    self.timeouts[me].append(scope)
                    try:
                        await self.block(me, at)
                    finally:
                        self.timeouts[me].pop()
            case "resched" | "expired": return self.timeout_op(me, op, n)
            case "group": return await self.group(me, at)
            case "lock": return await self.with_lock(me, at, n)
            case "permit":
                async with self.semaphore:
                    await self.block(me, at)
            case "soon": self.handle = self.loop.call_soon(self.call_back, at)
            case "later": self.handle = self.loop.call_later(n, self.call_back, at)
            case "uncall": self.handle and self.handle.cancel()
            case "reap": return await self.reap(n)
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
            case "cwaitfor" | "cbump":
                return await self.counting(me, op, n)
            case "acquire" | "release":
                return await self.loosely(me, op)
            case "sacquire": await self.bounded.acquire()
            case "srelease":
                try:
                    self.bounded.release()
                except ValueError:
                    return OVERFLOW
            case "isset": return self.events[n].is_set()
            case "locked": return self.locks[n].locked()
            case "size": return self.queues[n].qsize()
            case "cancelling": return asyncio.current_task().cancelling()
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

    async def counting(self, me, op, n):
        """A condition on a number that others count up."""
        if op == "cwaitfor" and self.counter >= n:
            return
        if self.owners[1] != me:
            return PERM
        if op == "cbump":
            self.counter += 1
            self.condition.notify_all()
            return
        self.owners[1] = None
        try:
            await self.condition.wait_for(lambda: self.counter >= n)
        finally:
            self.owners[1] = me

    async def loosely(self, me, op):
        if op == "acquire":
            if self.loose_owner == me:
                return DEADLK
            await self.loose.acquire()
            self.loose_owner = me
        else:
            try:
                self.loose.release()
            except RuntimeError:
                return PERM
            self.loose_owner = None

    def timeout_op(self, me, op, n):
        if not self.timeouts[me]:
            return NOENT
        if op == "expired":
            return self.timeouts[me][-1].expired()
        try:
            self.timeouts[me][-1].reschedule(self.loop.now + n)
        except RuntimeError:
            return ALREADY

    def make(self, name, op, all_of_them, there):
        if name in self.futures:
            return EXIST
        if op == "gatheras":
            self.futures[name] = Gather(self, there, all_of_them == 1)
        elif not there:
            return NOENT
        else:
            shield = self.futures[name] = asyncio.shield(there[0])
            if shield is not there[0]:
                shield.program, shield.shielded = self, there[0]

    def spawn(self, me, name, in_group):
        if name in self.futures:
            return EXIST
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
        if not members:
            return
        left, before = set(members), None
        try:
            async for f in asyncio.as_completed(members):
                if self.loop.now == before:  # which of two ended first is a matter of turns
                    self.tells_nothing_from_here()
                before = self.loop.now
                left.discard(f)
                self.say(me, at, "next", name[f])
        except asyncio.CancelledError:
            if any(f.done() for f in left):  # it comes a turn after its end; with ours it is there already
                self.tells_nothing_from_here()
            raise

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

    async def reap(self, apart):
        alive, rounds = TASKS, 0
        while alive > 0 and rounds < 100:
            alive = 0
            for i in range(1, TASKS):
                f = self.futures.get(f"t{i}")
                if f and not f.done():
                    alive += f.cancel()
                    if apart:
                        await asyncio.sleep(LATER)
            await asyncio.sleep(LATER)
            rounds += 1
        return rounds


# ---- comparing ----

def before(lines, until):
    at = next((i for i, line in enumerate(lines) if line.startswith("ended") or int(line.split()[0]) >= until), len(lines))
    return lines[:at] if until < sys.maxsize else lines


def by_task(lines):
    tasks = collections.defaultdict(list)
    for line in lines:
        who = line.split()[1:3]
        tasks[" ".join(who) if who[0] == "-1" else who[0]].append(line)  # each call for itself
    return tasks


def comparable(maker, lines, until):
    lines = before(lines, until)
    return [line for _, own in sorted(by_task(lines).items()) for line in own] if maker.sparse else lines


def side_by_side(theirs, ours):
    return [f"{a:45} {'' if a == b else '<>'} {b}" for a, b in itertools.zip_longest(theirs, ours, fillvalue="")]


def show(maker, ours, theirs):
    print("\n".join(f"{n:3} {line}" for n, line in enumerate(maker.text)))
    print("\n".join(side_by_side(theirs, ours)))


def first_difference(lines):
    """The first lines that differ, and what comes before."""
    at = next((i for i, line in enumerate(lines) if "<>" in line), 0)
    return lines[max(at - 4, 0):at + 6]


def too_late(*_):
    raise TimeoutError


def run_ours(runner, lines):
    signal.alarm(PATIENCE)
    try:
        for line in runner.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("ended"):
                break
    except TimeoutError:
        print(f"it does not go on for {PATIENCE} s")
        runner.kill()
    signal.alarm(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--programs", type=int)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    print(f"seed {args.seed}, Python {sys.version.split()[0]}", flush=True)
    signal.signal(signal.SIGALRM, too_late)
    said = tempfile.TemporaryFile("w+")
    runner = subprocess.Popen([args.runner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
    until, n, bad, deadlocks = time.monotonic() + args.seconds, 0, False, 0
    while n < args.programs if args.programs else time.monotonic() < until:
        seed = args.seed + n
        n += 1
        maker = Maker(seed)
        text = maker.program()
        program = Asyncio(text, maker.sparse)
        try:
            theirs = program.run()
        except Deadlock:
            deadlocks += 1
            continue
        try:
            runner.stdin.write("\n".join(text) + "\n")
            runner.stdin.flush()
        except BrokenPipeError:
            pass
        ours = []
        run_ours(runner, ours)
        compared = [comparable(maker, lines, program.until) for lines in (theirs, ours)]
        bad = compared[0] != compared[1]
        if args.show:
            show(maker, ours, theirs)
        if bad:
            print(f"seed {seed} ({'sparse' if maker.sparse else 'dense'}): asyncio and the library differ")
            print("\n".join(first_difference(side_by_side(*compared))))
        if bad or not ours or not ours[-1].startswith("ended"):
            break
    with contextlib.suppress(BrokenPipeError):
        runner.stdin.close()
    status = runner.wait()
    said.seek(0)
    print("".join(said.readlines()[:12]), end="")
    print(f"{n} programs, {deadlocks} of them not compared: they end nowhere; the runner ended with {status}")
    too_few = deadlocks > 1 + n // 1000
    return 1 if bad or too_few or status else 0


if __name__ == "__main__":
    sys.exit(main())
