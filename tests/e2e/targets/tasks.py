# SPDX-License-Identifier: MIT
"""Tasks of asyncio in random trees, in several loops in threads. Arguments: a seed, loops, tasks a loop,
and `uvloop` where the loops are to be of that. When all is quiet it prints what asyncio itself says of the
tasks, and whom each was made to await. A line on stdin ends it."""
import asyncio
import gc
import json
import random
import sys
import threading
import time

SEED, LOOPS, TASKS = (int(argument) for argument in sys.argv[1:4])
if "uvloop" in sys.argv:
    import uvloop
    uvloop.install()


def name_of(code):
    return getattr(code, "co_qualname", code.co_name)


def parts(thing):
    """Frame and awaited object of a coroutine, a generator or an async generator."""
    for prefix, awaited in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
        if hasattr(thing, awaited):
            return getattr(thing, prefix + "_frame"), getattr(thing, awaited)
    return None, None


def chain(thing):
    """Where a coroutine is suspended: its own frame, then those of what it awaits."""
    frames = []
    while thing is not None:
        frame, awaited = parts(thing)
        if frame is None:  # something between two of them
            inner = [o for o in gc.get_referents(thing)
                     if type(o).__name__ in ("coroutine", "generator", "async_generator")]
            if type(thing).__name__ not in ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow"):
                break
            thing = inner[0]
            continue
        frames.append([name_of(frame.f_code), frame.f_code.co_filename, frame.f_lineno])
        thing = awaited
    return frames


class Tree:
    """Makes tasks, each suspended in something for good, and remembers whom each awaits."""

    def __init__(self, seed, count):
        self.rng = random.Random(seed)
        self.count = count
        self.awaits = {}

    def make(self, depth, coro=None):
        name = "%s-%d" % ("".join(self.rng.choices("aäß日😀-xyz ", k=self.rng.randint(1, 30))), len(self.awaits))
        self.awaits[name] = []
        task = asyncio.ensure_future(coro(name) if coro else self.body(name, depth, self.rng.randint(0, 4)))
        task.set_name(name)
        return task, name

    def children(self, parent, depth, most=4):
        made = [self.make(depth + 1) for _ in range(self.rng.randint(1, most))]
        self.awaits[parent] += [name for _, name in made]
        return [task for task, _ in made]

    async def body(self, name, depth, deeper):
        if deeper:
            await self.through(name, depth, deeper - 1)
        elif depth >= 4 or len(self.awaits) >= self.count:
            await self.rest()
        else:
            await self.wait_for_others(name, depth)

    async def through(self, name, depth, deeper):
        way = self.rng.randrange(3)
        if way == 0:
            await self.body(name, depth, deeper)
        elif way == 1:
            async for _ in self.generate(name, depth, deeper):
                pass
        else:
            await Awaitable(self.body(name, depth, deeper))

    async def generate(self, name, depth, deeper):
        await self.body(name, depth, deeper)
        yield

    async def rest(self):
        way = self.rng.randrange(5)
        if way == 0:
            await asyncio.sleep(100000)
        elif way == 1:
            await asyncio.get_running_loop().create_future()
        elif way == 2:
            await asyncio.Event().wait()
        elif way == 3:
            await asyncio.Queue().get()
        else:
            lock = asyncio.Lock()
            await lock.acquire()
            async with lock:
                pass

    async def wait_for_others(self, name, depth):
        ways = ["await", "gather", "nested", "wait", "shield", "wait_for"]
        way = self.rng.choice(ways + ["group"] * (sys.version_info >= (3, 11)))
        if way == "await":
            await self.children(name, depth, 1)[0]
        elif way == "gather":
            await asyncio.gather(*self.children(name, depth))
        elif way == "nested":
            await asyncio.gather(asyncio.gather(*self.children(name, depth)), *self.children(name, depth))
        elif way == "wait":
            await asyncio.wait(self.children(name, depth))
        elif way == "shield":
            await asyncio.shield(self.children(name, depth, 1)[0])
        elif way == "wait_for":
            await asyncio.wait_for(self.children(name, depth, 1)[0], 100000)
        else:
            async with asyncio.TaskGroup():
                pass
            async with asyncio.TaskGroup() as group:
                for _ in range(self.rng.randint(1, 4)):
                    child = "%s-%d" % ("group", len(self.awaits))
                    self.awaits[child] = []
                    self.awaits[name].append(child)
                    group.create_task(self.body(child, depth + 1, 0), name=child)


class Awaitable:
    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        return self.coro.__await__()


class Loop(threading.Thread):
    def __init__(self, seed):
        super().__init__(daemon=True)
        self.tree = Tree(seed, TASKS)
        self.kept = []

    def run(self):
        asyncio.run(self.main())

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.name_of_main = asyncio.current_task().get_name()
        self.tree.awaits[self.name_of_main] = []
        while len(self.tree.awaits) < TASKS:
            self.kept.append(self.tree.make(0)[0])
            for _ in range(20):
                await asyncio.sleep(0)
        two = {}

        async def cycle(name, other):
            while other not in two:
                await asyncio.sleep(0)
            self.tree.awaits[name].append(two[other][1])
            await two[other][0]
        for own, other in ((0, 1), (1, 2), (2, 0)):
            two[own] = self.tree.make(0, lambda name, other=other: cycle(name, other))
        self.kept += two.values()
        await asyncio.Event().wait()

    def told(self):
        tasks = []
        for task in asyncio.all_tasks(self.loop):
            tasks.append({"name": task.get_name(), "state": "waiting" if task._fut_waiter else "ready",
                          "frames": chain(task.get_coro()), "awaits": sorted(self.tree.awaits[task.get_name()])})
        return sorted(tasks, key=lambda task: task["name"])


loops = [Loop(SEED * 1000 + n) for n in range(LOOPS)]
for loop in loops:
    loop.start()
before = None
while True:  # until it says the same for a while
    time.sleep(0.3)
    try:
        now = {loop.native_id: loop.told() for loop in loops}
    except (AttributeError, KeyError, RuntimeError):
        continue  # it has not begun, or goes on
    if now == before:
        break
    before = now
print(json.dumps({str(tid): tasks for tid, tasks in now.items()}), flush=True)
sys.stdin.readline()
