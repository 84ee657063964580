# SPDX-License-Identifier: MIT
"""Programs that tests download once and run out of a folder of the cache."""
import os
import shutil
import subprocess
import unittest

from harness import CACHE


def step(argv, folder, seconds=100):
    """Runs a step of the unpacking, or of a first try, and gives what it printed; skips with its last word when it fails."""
    done = subprocess.run(argv, cwd=folder, timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise unittest.SkipTest(f"{argv[0]}: {last}")
    return done.stdout


def debian(folder, packages, apt=("apt-get", "-q")):
    """Downloads packages of Debian's and unpacks them into a folder."""
    step([*apt, "download", *packages], folder)
    for package in folder.glob("*.deb"):
        step(["dpkg", "-x", package, folder], folder)
        package.unlink()


def folder(name, fetch):
    """The folder of the cache that fetch(folder) has filled, once and wholly."""
    root = CACHE / name
    if root.exists():
        return root
    unpacked = CACHE / f"{name}.{os.getpid()}"
    unpacked.mkdir(parents=True)
    try:
        fetch(unpacked)
        unpacked.rename(root)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return root
