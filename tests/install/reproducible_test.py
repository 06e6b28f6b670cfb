# SPDX-License-Identifier: Apache-2.0
"""The packages of another build, in another directory, at another time and by a user with other settings, are the same bytes, and so is what
is in them before it is stripped.

Environment: INSTALL_CMAKE, INSTALL_CPACK, INSTALL_SECOND (where the other build may be made), INSTALL_FIRST (the build directory of the
first). With the argument "sample" the launcher alone is built twice there.
"""
import filecmp
import glob
import os
import shutil
import subprocess
import sys
import unittest

from installation import clean_environment

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
CMAKE = os.environ["INSTALL_CMAKE"]
SECOND = os.environ["INSTALL_SECOND"]
OTHERWISE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": "/nonexistent", "USER": "somebody", "CCACHE_DISABLE": "1"}


PRESET = ("--preset", "package")


class ReproducibleTest(unittest.TestCase):

    def setUp(self):
        shutil.rmtree(SECOND, ignore_errors=True)
        self.addCleanup(shutil.rmtree, SECOND)
        self.addCleanup(os.umask, os.umask(0o077))

    def build(self, name, environment, *commands):
        """Does these in a copy of the tree, committed or not; its build directory."""
        tree = f"{SECOND}/{name}/weft"
        files = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True).stdout
        for file in filter(None, files.decode().split("\0")):
            if os.path.exists(f"{SOURCE}/{file}"):
                os.makedirs(os.path.dirname(f"{tree}/{file}"), exist_ok=True)
                shutil.copyfile(f"{SOURCE}/{file}", f"{tree}/{file}")
        for command in commands:
            done = subprocess.run(command, cwd=tree, env=clean_environment() | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        return f"{tree}/build/package"

    def assert_same(self, first, second, names):
        self.assertEqual([name for name in names if not filecmp.cmp(f"{first}/{name}", f"{second}/{name}", shallow=False)], [])


class Sample(ReproducibleTest):

    def test_same_bytes(self):
        commands = [CMAKE, *PRESET], [CMAKE, "--build", *PRESET, "--target", "weft"]
        self.assert_same(self.build("first", {}, *commands), self.build("the-second-is-elsewhere", OTHERWISE, *commands), ["weft"])


class Packages(ReproducibleTest):

    def test_same_bytes(self):
        first = os.environ["INSTALL_FIRST"]
        second = self.build("the-second-is-elsewhere", OTHERWISE, [CMAKE, *PRESET], [CMAKE, "--build", *PRESET], [os.environ["INSTALL_CPACK"], *PRESET])
        packages = sorted(os.path.basename(path) for path in glob.glob(f"{first}/packages/*.deb"))
        self.assertEqual(len(packages), 3)
        self.assert_same(first, second, ["libweft.so.0", "weft", "weft-inspect", *(f"packages/{name}" for name in packages)])


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], {"sample": "Sample", "packages": "Packages"}[sys.argv[1]]])
