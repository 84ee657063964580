# SPDX-License-Identifier: MIT
"""The CPythons that tests run on: the machine's, pyenv's where it is, and those of later Debians, unpacked
into folders of the cache that they take for their root."""
import functools
import os
import pathlib
import subprocess
import tempfile
import unittest

import unpacked
from harness import HERE

PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
PYENV_VERSIONS = ("3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0")
# What a later Debian's python links, and `sleep`.
DEBIAN_REST = ["libc6", "libgcc-s1", "libssl3t64", "libsqlite3-0", "libffi8", "zlib1g", "libexpat1", "libbz2-1.0",
               "liblzma5", "libzstd1", "coreutils"]
DEBIAN = {"3.13": "trixie", "3.14": "sid", "3.15": "sid"}
ENTER = 'root=$1; shift; while [ "$1" != -- ]; do mount --rbind "$1" "$root$1" || exit; shift; done; shift; exec chroot "$root" "$@"'


def machine():
    return ["/usr/bin/python3"]


def pyenv(version):
    python = PYENV / version / "bin/python3"
    if not python.exists():
        raise unittest.SkipTest(f"{python} is not there")
    return [str(python)]


def _fetch_python(folder, version):
    names = [f"python{version}", f"python{version}-minimal", f"libpython{version}-minimal", f"libpython{version}-stdlib"]
    unpacked.of_suite(folder, DEBIAN[version], [*names, *DEBIAN_REST])
    for name in ("bin", "lib", "lib64"):
        if not (folder / name).exists():
            (folder / name).symlink_to(f"usr/{name}")
    (folder / "etc/resolv.conf").touch()


def _enter(version, modules, *more, settings=()):
    """A command that runs a later Debian's python in its own root, which has the targets, the folder for
    temporary files and `more` where they are here; settings are those of its environment. It must have
    these modules."""
    root = unpacked.folder(f"python{version}", lambda folder: _fetch_python(folder, version))
    shown = ["/dev", "/proc", tempfile.gettempdir(), str(HERE), *more]
    for folder in shown:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    program = [*(["/usr/bin/env", *settings] if settings else []), f"/usr/bin/python{version}"]
    command = ["unshare", "-m", "sh", "-c", ENTER, "sh", str(root), *shown, "--", *program]
    unpacked.step([*command, "-c", f"import {modules}"], "/", 30)
    return command


def debian(version):
    return _enter(version, "asyncio, sqlite3, subprocess, urllib.request")


def debian_uvloop(version):
    """The same with the uvloop of that Debian."""
    root = unpacked.folder(f"uvloop-{DEBIAN[version]}",
                           lambda folder: unpacked.of_suite(folder, DEBIAN[version], ["python3-uvloop", "libuv1t64"]))
    modules = root / "usr/lib/python3/dist-packages"
    libraries = next(root.glob("usr/lib/*/libuv.so.1")).parent
    return _enter(version, "uvloop", str(root), settings=(f"PYTHONPATH={modules}", f"LD_LIBRARY_PATH={libraries}"))


def machine_uvloop():
    """That of the machine's python: installed, or unpacked once."""
    modules = pathlib.Path("/usr/lib/python3/dist-packages")
    if not (modules / "uvloop").exists():
        root = unpacked.folder("uvloop", lambda folder: unpacked.debian(folder, ["python3-uvloop"]))
        modules = root / modules.relative_to("/")
    command = ["env", f"PYTHONPATH={modules}", *machine()]
    unpacked.step([*command, "-c", "import uvloop"], "/", 30)
    return command


WAYS = {"machine": machine, **{f"pyenv {v}": functools.partial(pyenv, v) for v in PYENV_VERSIONS},
        **{f"Debian {suite} {v}": functools.partial(debian, v) for v, suite in DEBIAN.items()}}
WITH_UVLOOP = {"machine": machine_uvloop,
               **{f"Debian {suite} {v}": functools.partial(debian_uvloop, v) for v, suite in DEBIAN.items()}}


def command_of(ways, name):
    """Skips the test where it is not here."""
    try:
        return ways[name]()
    except (OSError, subprocess.SubprocessError) as why:
        raise unittest.SkipTest(f"{name}: {why}") from None


def _at_hand(test, ways):
    tried = 0
    for name in ways:
        try:
            command = command_of(ways, name)
        except unittest.SkipTest as why:
            print(f"skipped {name}: {why}")
            continue
        tried += 1
        yield name, command
    if not tried:
        test.skipTest("no CPython is here")


def every(test):
    """(name, command) of each that is here. Prints why another is not; skips the test where none is."""
    return _at_hand(test, WAYS)


def every_with_uvloop(test):
    """The same of those that have uvloop."""
    return _at_hand(test, WITH_UVLOOP)
