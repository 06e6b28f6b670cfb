# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: lintian has nothing to say, they install, everything in them works, and when they are purged nothing is left.

With the argument "layered" they are installed on top of this system, with "new" in one that has nothing else in it, with apt.
Environment: INSTALL_PACKAGES (a directory with the packages), INSTALL_SERVER, INSTALL_VERSION, INSTALL_ARCHITECTURE (x86_64-linux-gnu).
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from installation import CONNECTIONS, Installation, Server
from roots import LayeredRoot, NewRoot, reason_against

VERSION = os.environ["INSTALL_VERSION"]
LIBDIR = f"/usr/lib/{os.environ['INSTALL_ARCHITECTURE']}"
NAMES = ("libweft0", "libweft-dev", "weft")


class PackagesTest(unittest.TestCase):
    """Puts the packages, the server and the program to link into /mnt of a root directory."""

    def prepare(self, kind):
        reason = reason_against()
        if reason:
            self.skipTest(reason)
        work = os.path.realpath(tempfile.mkdtemp(prefix="weft-install-"))
        self.addCleanup(shutil.rmtree, work)
        shared = f"{work}/shared"
        shutil.copytree(os.path.join(os.path.dirname(__file__), "linked"), f"{shared}/linked")
        shutil.copy(os.environ["INSTALL_SERVER"], shared)
        for name in NAMES:
            (package,) = glob.glob(f"{os.environ['INSTALL_PACKAGES']}/{name}_{VERSION}_*.deb")
            shutil.copy(package, shared)
        for place, _, _ in os.walk(shared):
            os.chmod(place, 0o755)
        root = kind(work, shared)
        self.addCleanup(root.close)
        if root.run("dpkg-query", "-W", *NAMES, status=None):
            self.skipTest("weft is installed here")
        return root

    def package_files(self, root, *names):
        return [root.run("sh", "-c", f"echo /mnt/{name}_{VERSION}_*.deb").strip() for name in names]

    def installation(self, root):
        return Installation(self, root.enter, "/usr", LIBDIR, "/mnt/server", VERSION)

    def check_use(self, installation):
        installation.check_launcher()
        installation.check_woven()
        installation.check_inspector()
        installation.check_dump()

    def check_by_name_alone(self, root):
        """As the example for systemd has it: ld.so finds the library."""
        with Server([*root.enter, "env", "LD_PRELOAD=libweft.so.0", "WEFT_STATS=/tmp/stats", "/mnt/server"]) as server:
            self.assertEqual(server.finish(), "")
        self.assertIn(f"coroutines_created {CONNECTIONS + 1}\n", root.run("cat", "/tmp/stats"))

    def check_gone(self, root):
        self.assertNotIn("libweft", root.run("ldconfig", "-p"))
        self.assertEqual(root.run("dpkg-query", "-W", *NAMES, status=None), "")
        self.assertEqual(root.run("sh", "-c", "ls -d /var/lib/dpkg/info/*weft*", status=None), "")


class Layered(PackagesTest):

    def test_install_use_and_purge(self):
        root = self.prepare(LayeredRoot)
        before = root.snapshot()
        root.run("dpkg", "--path-include=*", "--install", *self.package_files(root, *NAMES))
        self.assertIn(f"libweft.so.0 (libc6,x86-64) => /lib/{os.environ['INSTALL_ARCHITECTURE']}/libweft.so.0", root.run("ldconfig", "-p"))
        self.assertEqual(root.run("dpkg", "--verify", *NAMES), "")
        installation = self.installation(root)
        self.check_use(installation)
        self.check_by_name_alone(root)
        installation.check_linked("/mnt/linked", "/tmp/linked")
        if shutil.which("man"):
            installation.check_manual()
        if shutil.which("gdb"):
            installation.check_gdb()
        # Another program's completion could be in the way, or none be loaded at all.
        offered = installation.run("bash", "-c", "source /usr/share/bash-completion/completions/weft; COMP_WORDS=(weft ps --); COMP_CWORD=2; _weft; "
                                                 "printf '%s\\n' \"${COMPREPLY[@]}\"")
        self.assertIn("--columns", offered)
        root.run("rm", "-rf", "/tmp/linked")
        root.run("dpkg", "--purge", *reversed(NAMES))
        self.check_gone(root)
        self.assertEqual(root.snapshot() - before, set())

    def test_lintian(self):
        if shutil.which("lintian") is None:
            self.skipTest("lintian is not here")
        packages = glob.glob(f"{os.environ['INSTALL_PACKAGES']}/*.deb")
        self.assertEqual(len(packages), len(NAMES))
        done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root", *packages], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


class New(PackagesTest):

    def test_install_use_and_purge(self):
        if shutil.which("mmdebstrap") is None:
            self.skipTest("mmdebstrap is not here")
        root = self.prepare(NewRoot)
        before = root.snapshot()
        root.run("apt-get", "install", "-qq", "--no-install-recommends", *self.package_files(root, "libweft0", "weft"))
        self.check_use(self.installation(root))
        root.run("apt-get", "purge", "-qq", "--autoremove", "weft", "libweft0")
        self.check_gone(root)
        self.assertEqual(root.snapshot(), before)

        # The development package brings no compiler, and needs no more than one.
        root.run("apt-get", "install", "-qq", "--no-install-recommends", "g++", "make", "cmake", "pkg-config", "man-db")
        before = root.snapshot()
        root.run("apt-get", "install", "-qq", "--no-install-recommends", *self.package_files(root, *NAMES))
        installation = self.installation(root)
        installation.check_linked("/mnt/linked", "/tmp/linked")
        installation.check_manual()
        root.run("rm", "-rf", "/tmp/linked")
        root.run("apt-get", "purge", "-qq", "--autoremove", *NAMES)
        self.check_gone(root)
        self.assertEqual(root.snapshot(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], {"layered": "Layered", "new": "New"}[sys.argv[1]]])
