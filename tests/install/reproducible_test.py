# SPDX-License-Identifier: Apache-2.0
"""The packages of another build, in another directory, at another time and by a user with other settings, are the same bytes, and so is what
is in them before it is stripped.

Environment: INSTALL_CMAKE, INSTALL_CPACK, INSTALL_FIRST (the build directory of the first), INSTALL_SECOND (where the second may be made).
"""
import filecmp
import glob
import os
import shutil
import subprocess
import unittest

from installation import clean_environment

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
FIRST = os.environ["INSTALL_FIRST"]
SECOND = os.environ["INSTALL_SECOND"]
OTHERWISE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": "/nonexistent", "USER": "somebody", "CCACHE_DISABLE": "1"}


class ReproducibleTest(unittest.TestCase):

    def test_same_bytes(self):
        shutil.rmtree(SECOND, ignore_errors=True)
        tree = f"{SECOND}/a directory that is called otherwise/weft".replace(" ", "-")
        files = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True).stdout
        environment = clean_environment() | OTHERWISE
        os.umask(0o077)
        for name in filter(None, files.decode().split("\0")):
            if os.path.exists(f"{SOURCE}/{name}"):
                os.makedirs(os.path.dirname(f"{tree}/{name}"), exist_ok=True)
                shutil.copyfile(f"{SOURCE}/{name}", f"{tree}/{name}")
        for command in ([os.environ["INSTALL_CMAKE"], "--preset", "package"], [os.environ["INSTALL_CMAKE"], "--build", "--preset", "package"],
                        [os.environ["INSTALL_CPACK"], "--preset", "package"]):
            done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        packages = sorted(os.path.basename(path) for path in glob.glob(f"{FIRST}/packages/*.deb"))
        self.assertEqual(len(packages), 3)
        names = ["libweft.so.0", "weft", "weft-inspect", *(f"packages/{name}" for name in packages)]
        self.assertEqual([name for name in names if not filecmp.cmp(f"{FIRST}/{name}", f"{tree}/build/package/{name}", shallow=False)], [])
        shutil.rmtree(SECOND)


if __name__ == "__main__":
    unittest.main(verbosity=2)
