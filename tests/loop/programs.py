# SPDX-License-Identifier: MIT
"""Random programs of the loop library's vocabulary, a line an operation: see test_differ.py."""
import random
import sys

TASKS, FUTURES, MADE = 16, 4, 2  # made: shields and gathers with names
LATER = 10**12
BLOCKS = ("timeout", "group", "lock", "permit", "soon", "later")
# What came, or got its present meaning, with a version of Python.
SINCE = {"shutdown": (3, 13), "gspawn": (3, 13), "group": (3, 13), "cwait": (3, 13), "permit": (3, 13), "uncancel": (3, 13),
         "each": (3, 13), "waitfor": (3, 12), "breset": (3, 11), "timeout": (3, 11, 4), "cwaitfor": (3, 13), "cbump": (3, 13),
         "sacquire": (3, 13), "srelease": (3, 13), "cancelling": (3, 13)}
DENSE = "yield yield sleep spawn await cancel set result onend offend soon later uncall isset size cancelling acquire release " \
        "resched cwaitfor cbump ewait eset eclear lock cwait cnotify permit put putnow " \
        "get getnow taskdone join shutdown timeout uncancel fail".split()
# Permits beyond one: who comes while one that was given has not arrived waits there, and takes the next one here.
SPARSE = DENSE + "sacquire srelease sacquire srelease shieldas gatheras locked expired gather wait each shield waitfor group gspawn " \
                 "bwait babort breset gather wait group gspawn gspawn".split()
IN_CALLS = "cancel set eset eclear spawn putnow getnow taskdone result release srelease isset size uncall".split()


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.sparse = self.rng.random() < 0.5
        self.operations = [o for o in (SPARSE if self.sparse else DENSE) if sys.version_info >= SINCE.get(o, (3, 0))]
        self.operations = self.rng.sample(self.operations, min(len(self.operations), self.rng.randint(6, 30)))
        self.operations += ["spawn", "await", "yield"]
        self.tasks = self.rng.randint(3, 9)
        self.text = []
        self.onends = []  # future and line

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

    def made(self, me):
        """One that was made, but for those that may be in it."""
        if self.sparse and 0 <= me <= self.tasks // 2 and self.rng.random() < 0.2:
            return f"g{self.rng.randrange(MADE)}"
        return self.future(me)

    def offend(self):
        return "{} {}".format(*self.rng.choice(self.onends)) if self.onends else "f0 0"

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
                "await": lambda: self.made(me), "shield": lambda: self.made(me), "result": lambda: (self.future if ops is IN_CALLS else self.made)(0),
                "onend": lambda: self.made(0), "cancel": lambda: self.made(me if not self.sparse else 0), "offend": self.offend,
                "shieldas": lambda: f"g{r.randrange(MADE)} {self.future(max(me, self.tasks // 2))}",
                "gatheras": lambda: f"g{r.randrange(MADE)} {r.randrange(2)} {self.some(max(me, self.tasks // 2))}",
                "resched": lambda: r.choice([self.delay(), 0]), "cwaitfor": lambda: r.randint(1, 4), "isset": lambda: r.randrange(2),
                "locked": lambda: r.randrange(2), "size": lambda: r.randrange(3),
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
            if op == "onend":
                self.onends.append((self.text[-1].split()[1], len(self.text) - 1))
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
                self.text += [f"sleep {LATER}", f"reap {int(self.sparse)}"]
            else:
                self.block(me, self.rng.randint(2, 9), 0, self.operations)
            self.text.append("end")
        return self.text + ["run"]
