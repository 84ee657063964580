# SPDX-License-Identifier: MIT
"""Contestants that print what their calls cost, "name value unit" a line: each runs once a round, on one CPU."""
import os
import pathlib
import subprocess
import sys
import tempfile

import lttng
from ratio import row, spread

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's: it has uvloop's package
OURS = "loopscope"

# What a section compares: programs, and which figure of ours a contestant's is divided by.
RECORDS = {OURS: ("bench_records",), "LTTng-UST": ("records_lttng",)}
TASKS = {OURS: ("bench_tasks",), "asyncio": (PYTHON, HERE / "tasks.py", "asyncio"),
         "uvloop": (PYTHON, HERE / "tasks.py", "uvloop")}
TIMERS = {OURS: ("bench_timers",), "libev": ("timers_ev",), "libuv": ("timers_uv",)}
AGAINST = {"record": ("record_on",), "yield": ("yield_off",), "gather": ("gather_off",),
           "gather_first": ("gather_first_off",), "timer_start": ("timer_start",), "timer_fire": ("timer_fire",)}

# The aims of the project, of figures and of ratios.
AIMS = {"yield_off": "at most 9", "yield_on": "at most 30", "spawn_off": "at most 40", "spawn_on": "at most 90",
        "record_in_work_read": "at most 1", "timer_start": "at most 15", "timer_fire": "at most 150",
        "sleeper": "at most 9216", "uvloop gather": "at least 50", "LTTng-UST record": "at least 5",
        "libev timer_start": "at least 1", "libev timer_fire": "at least 1"}


def command(argv, folder):
    program = str(argv[0])
    return [program if program.startswith("/") else str(folder / program), *map(str, argv[1:])]


def measure(argv, environment):
    run = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120,
                         env={**os.environ, **environment})
    for line in run.stdout.splitlines():
        if line.startswith("#"):
            print(line, file=sys.stderr)
    lines = (line.split() for line in run.stdout.splitlines() if not line.startswith("#"))
    return {name: (float(value), unit) for name, value, unit in lines}


def those_that_run(contestants, environment):
    """Without those that cannot run here, which is told."""
    able = {}
    for name, argv in contestants.items():
        try:
            measure(argv, environment)
            able[name] = argv
        except FileNotFoundError:
            print(f"# {name} is left out: {argv[0]} was not built, its package is not here")
        except subprocess.CalledProcessError as error:
            print(f"# {name} is left out: {error.stderr.strip().splitlines()[-1:]}")
    return able


def compare(section, contestants, args, environment=None):
    environment = environment or {}
    contestants = those_that_run({n: command(argv, args.bin) for n, argv in contestants.items()}, environment)
    seen = {name: [] for name in contestants}
    for turn in range(args.rounds):
        names = list(contestants)
        for name in names if turn % 2 else reversed(names):
            seen[name].append(measure(contestants[name], environment))
    rows = []
    print("| loopscope | median (95 % of it) | unit | aim |\n|---|---|---|---|")
    for figure, (_, unit) in seen[OURS][0].items():
        values = [run[figure][0] for run in seen[OURS]]
        print(f"| {figure} | {spread(values, 1)} | {unit} | {AIMS.get(figure, '')} |")
        rows.append(row(section, figure, values, unit=unit))
    print("\n| contestant | figure | ns | ratio to ours (95 % of it) | of ours | aim |\n|---|---|---|---|---|---|")
    for name, runs in seen.items():
        for figure in [] if name == OURS else runs[0]:
            for mine in AGAINST[figure]:
                ratios = [run[figure][0] / our[mine][0] for run, our in zip(runs, seen[OURS])]
                print(f"| {name} | {figure} | {spread([run[figure][0] for run in runs], 0)} | {spread(ratios, 2)} | {mine} "
                      f"| {AIMS.get(f'{name} {figure}', '')} |")
                rows.append(row(section, f"{name} {figure} / {mine}", ratios))
    print(flush=True)
    return rows


def on_one_cpu(run):
    """run(), while this process and what it starts stay on one CPU."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(all_of_them)})
    try:
        return run()
    finally:
        os.sched_setaffinity(0, all_of_them)


def records(args):
    with tempfile.TemporaryDirectory(prefix="loopscope-bench-") as folder, lttng.session(pathlib.Path(folder)) as environment:
        return on_one_cpu(lambda: compare("records", RECORDS, args, environment))


def tasks(args):
    return on_one_cpu(lambda: compare("tasks", TASKS, args))


def timers(args):
    return on_one_cpu(lambda: compare("timers", TIMERS, args))
