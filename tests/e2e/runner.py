# SPDX-License-Identifier: MIT
"""Runs the tests of a file: one after the other, but for those that are calm, where the test and its targets
mostly sleep. Of these three run at a time, before the others. A test whose loops compute, one that measures what a CPU
does, and one that looks at all of the host is not calm; nor one that has little room for what its own clock reads.
"""
import concurrent.futures
import functools
import os
import threading
import unittest

AT_ONCE = 3 if len(os.sched_getaffinity(0)) > 1 else 1

# Held by what takes a CPU for a while: however many tests run, there is one of these, and a CPU for the targets.
working = threading.RLock()


def calm(what):
    """Decorates a class of tests, or one of its tests."""
    what.calm = True
    return what


def alone(what):
    """Decorates a test in a class that is calm otherwise."""
    what.calm = False
    return what


def for_each(names):
    """Makes of a test that takes a name one test for each of these names."""
    def mark(test):
        test.names = names
        return test
    return mark


def _of(test, name):
    @functools.wraps(test)
    def one(self):
        test(self, name)
    del one.names
    one.__name__ = f"{test.__name__}_{''.join(c if c.isalnum() else '_' for c in name)}"
    return one


def expand(case):
    """Puts those tests in the place of the one."""
    for test in [test for test in vars(case).values() if hasattr(test, "names")]:
        delattr(case, test.__name__)
        for name in test.names:
            one = _of(test, name)
            setattr(case, one.__name__, one)


def is_calm(test):
    method = getattr(test, getattr(test, "_testMethodName", ""), None)
    return getattr(method, "calm", getattr(test, "calm", False))


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


class Together(unittest.TestSuite):
    """These tests, some at a time. What each printed may be mixed with what the others did; its result is not."""

    def run(self, result, debug=False):
        lock = threading.Lock()

        def one(test):
            own = unittest.TestResult()
            if result.shouldStop:
                return
            unittest.TestSuite([test]).run(own)  # with its module's set-up
            with lock:
                result.testsRun += own.testsRun
                for kind in ("failures", "errors", "skipped", "expectedFailures", "unexpectedSuccesses"):
                    getattr(result, kind).extend(getattr(own, kind))
                if not own.wasSuccessful() and result.failfast:
                    result.stop()
                how = "ok" if own.wasSuccessful() else "FAIL"
                result.stream.writeln(f"{test} ... {'skipped' if own.skipped else how}")
                result.stream.flush()

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(one, test) for test in self]:
                done.result()
        return result


class Runner(unittest.TextTestRunner):
    def run(self, test):
        tests = list(each(test))
        calms = [one for one in tests if is_calm(one)]
        if len(calms) < 2 or AT_ONCE == 1:
            return super().run(test)
        others = unittest.TestSuite(one for one in tests if not is_calm(one))
        return super().run(unittest.TestSuite([Together(calms), others]))
