# SPDX-License-Identifier: MIT
"""The CPythons that tests run on: the machine's, pyenv's where it is, and those of later Debians, unpacked
into folders of the cache that they take for their root."""
import os
import pathlib
import shutil
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
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ENTER = 'root=$1; shift; while [ "$1" != -- ]; do mount --rbind "$1" "$root$1" || exit; shift; done; shift; exec chroot "$root" "$@"'


def machine():
    return ["/usr/bin/python3"]


def pyenv(version):
    python = PYENV / version / "bin/python3"
    if not python.exists():
        raise unittest.SkipTest(f"{python} is not there")
    return [str(python)]


def _apt(folder, suite):
    """A command line of apt's that knows this suite alone, from where the machine has its own packages."""
    mirrors = unpacked.step(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"], folder)
    mirror = next((line.split()[2] for line in mirrors.splitlines() if line.startswith("Debian Debian ")), None)
    if not mirror:
        raise unittest.SkipTest("this machine has no packages from Debian")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True)
    (folder / "apt/status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (folder / "apt/sources.list").write_text(f"deb {signed}{mirror} {suite} main\n")
    places = {"Etc::SourceList": "sources.list", "State::Lists": "lists", "Cache": "cache", "State::status": "status"}
    options = [f"Dir::{key}={folder}/apt/{value}" for key, value in places.items()]
    return ["apt-get", "-q", *(part for option in [*options, "Dir::Etc::SourceParts=/dev/null",
                                                   "Acquire::Languages=none"] for part in ("-o", option))]


def _fetch(folder, version, suite):
    apt = _apt(folder, suite)
    unpacked.step([*apt, "update"], folder)
    names = [f"python{version}", f"python{version}-minimal", f"libpython{version}-minimal", f"libpython{version}-stdlib"]
    unpacked.debian(folder, [*names, *DEBIAN_REST], apt)
    shutil.rmtree(folder / "apt")
    for name in ("bin", "lib", "lib64"):
        if not (folder / name).exists():
            (folder / name).symlink_to(f"usr/{name}")
    (folder / "etc/resolv.conf").touch()


def debian(version):
    """A command that runs a later Debian's python in its own root, which has the targets and the folder for
    temporary files where they are here."""
    root = unpacked.folder(f"python{version}", lambda folder: _fetch(folder, version, DEBIAN[version]))
    shown = ["/dev", "/proc", tempfile.gettempdir(), str(HERE)]
    for folder in shown:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    command = ["unshare", "-m", "sh", "-c", ENTER, "sh", str(root), *shown, "--", f"/usr/bin/python{version}"]
    unpacked.step([*command, "-c", "import asyncio, sqlite3, subprocess, urllib.request"], "/", 30)
    return command


def every():
    """(name, command or why there is none) of each."""
    ways = {"machine": machine, **{f"pyenv {v}": (lambda v=v: pyenv(v)) for v in PYENV_VERSIONS},
            **{f"Debian {suite} {v}": (lambda v=v: debian(v)) for v, suite in DEBIAN.items()}}
    for name, way in ways.items():
        try:
            yield name, way(), None
        except (unittest.SkipTest, OSError, subprocess.SubprocessError) as why:
            yield name, None, str(why)
