# SPDX-License-Identifier: MIT
"""A session of LTTng in which records_lttng's tracepoint overwrites the oldest, as our ring does: nothing is written to a
file, nobody reads."""
import contextlib
import os
import shutil
import subprocess
import time

SESSION, CHANNEL, EVENT = "loopscope-bench", "ring", "loopscope_bench:record"


def call(*argv, environment):
    return subprocess.run(["lttng", "--no-sessiond", *argv], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=30)


@contextlib.contextmanager
def daemon(environment):
    """The one that runs, or one for the time being."""
    if call("list", environment=environment).returncode == 0:
        yield
        return
    process = subprocess.Popen(["lttng-sessiond", "--no-kernel"], env={**os.environ, **environment},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while call("list", environment=environment).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise OSError("lttng-sessiond does not answer")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def session(folder):
    """The environment of programs that record in it; where it cannot be had that is told, and they will not record."""
    environment = {"LTTNG_HOME": str(folder)}
    if not shutil.which("lttng") or not shutil.which("lttng-sessiond"):
        print("# lttng-tools is not here: there is no session of LTTng")
        yield environment
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(daemon(environment))
        except OSError as error:
            print(f"# no session of LTTng: {error}")
        for argv in (("create", SESSION, "--snapshot", "-o", str(folder / "trace")),
                     ("enable-channel", "-u", "-s", SESSION, "--overwrite", "--subbuf-size", "1M", "--num-subbuf", "4", CHANNEL),
                     ("enable-event", "-u", "-s", SESSION, "-c", CHANNEL, EVENT), ("start", SESSION)):
            done = call(*argv, environment=environment)
            if done.returncode != 0:
                print(f"# no session of LTTng: lttng {argv[0]}: {done.stderr.strip()}")
                break
        stack.callback(call, "destroy", SESSION, environment=environment)
        yield environment
