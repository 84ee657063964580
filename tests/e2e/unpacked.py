# SPDX-License-Identifier: MIT
"""Programs that tests download once and run out of a folder of the cache."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import threading
import unittest

from harness import CACHE

fetching = threading.Lock()
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def step(argv, folder, seconds=100):
    """Runs a step of the unpacking, or of a first try, and gives what it printed; skips with its last word when it fails."""
    done = subprocess.run(argv, cwd=folder, timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise unittest.SkipTest(f"{argv[0]}: {last}")
    return done.stdout


@contextlib.contextmanager
def suite(folder, name):
    """The options for apt's programs that make them know this suite of Debian's alone, from where the machine
    has its own packages. It is updated; what it keeps in the folder is gone after the `with` block."""
    mirrors = step(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"], folder)
    mirror = next((line.split()[2] for line in mirrors.splitlines() if line.startswith("Debian Debian ")), None)
    if not mirror:
        raise unittest.SkipTest("this machine has no packages from Debian")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True)
    (folder / "apt/status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (folder / "apt/sources.list").write_text(f"deb {signed}{mirror} {name} main\n")
    places = {"Etc::SourceList": "sources.list", "State::Lists": "lists", "Cache": "cache", "State::status": "status"}
    settings = [f"Dir::{key}={folder}/apt/{value}" for key, value in places.items()]
    options = ["-q", *(part for setting in [*settings, "Dir::Etc::SourceParts=/dev/null", "Acquire::Languages=none"]
                       for part in ("-o", setting))]
    try:
        step(["apt-get", *options, "update"], folder)
        yield options
    finally:
        shutil.rmtree(folder / "apt")


def debian(folder, packages, options=("-q",)):
    """Downloads packages of Debian's and unpacks them into a folder."""
    step(["apt-get", *options, "download", *packages], folder)
    for package in folder.glob("*.deb"):
        step(["dpkg", "-x", package, folder], folder)
        package.unlink()


def of_suite(folder, name, packages):
    """The same of another Debian's packages."""
    with suite(folder, name) as options:
        debian(folder, packages, options)


def folder(name, fetch):
    """The folder of the cache that fetch(folder) has filled, once and wholly."""
    with fetching:
        return _folder(name, fetch)


def _folder(name, fetch):
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
