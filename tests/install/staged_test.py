# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` puts everything where it belongs, and what is there works, also after the tree was moved.

Environment: INSTALL_BUILD (the build directory), INSTALL_CMAKE, INSTALL_SERVER, INSTALL_VERSION.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from installation import Installation, clean_environment

BUILD = os.environ["INSTALL_BUILD"]
VERSION = os.environ["INSTALL_VERSION"]
SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
COMMANDS = ("bt", "diff", "flame", "inspect", "lint", "ps", "snap", "stat", "top", "trace")


def expected(libdir):
    headers = os.listdir(os.path.join(SOURCE, "sched", "include", "weft"))
    return {"bin/weft", "bin/weft-inspect", "share/bash-completion/completions/weft", "share/zsh/site-functions/_weft",
            "share/man/man1/weft.1", *(f"share/man/man1/weft-{command}.1" for command in COMMANDS), "share/man/man7/weft-limits.7",
            f"{libdir}/libweft.so", f"{libdir}/libweft.so.0", f"{libdir}/libweft.so.{VERSION}", f"{libdir}/libweft.so.{VERSION}-gdb.py",
            f"{libdir}/pkgconfig/weft.pc", f"{libdir}/cmake/weft/weftConfig.cmake", f"{libdir}/cmake/weft/weftConfig-relwithdebinfo.cmake",
            f"{libdir}/cmake/weft/weftConfigVersion.cmake", *(f"include/weft/{name.removesuffix('.in')}" for name in headers),
            "share/doc/weft/LICENSE", "share/doc/weft/README.md", "share/doc/weft/examples/systemd/weft.conf",
            "share/doc/weft/examples/systemd/README.md"}


def files_below(directory):
    return {os.path.relpath(os.path.join(place, name), directory) for place, _, names in os.walk(directory) for name in names}


class StagedTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.work = os.path.realpath(tempfile.mkdtemp(prefix="weft-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.work)
        cls.prefix = f"{cls.work}/opt/first"
        cls.moved = f"{cls.work}/opt/moved"
        cls.libdir = os.environ["INSTALL_LIBDIR"]
        subprocess.run([os.environ["INSTALL_CMAKE"], "--install", BUILD, "--prefix", cls.prefix], check=True, stdout=subprocess.DEVNULL,
                       env=clean_environment())
        shutil.copytree(cls.prefix, cls.moved, symlinks=True)

    def installation(self, prefix):
        return Installation(self, [], prefix, f"{prefix}/{self.libdir}", os.environ["INSTALL_SERVER"], VERSION)

    def test_files(self):
        self.assertEqual(files_below(self.prefix), expected(self.libdir))
        libdir = f"{self.prefix}/{self.libdir}"
        self.assertEqual([os.readlink(f"{libdir}/{name}") for name in ("libweft.so", "libweft.so.0")], ["libweft.so.0", f"libweft.so.{VERSION}"])

    def test_nothing_speaks_of_where_it_was_built(self):
        for name in files_below(self.prefix):
            if name.endswith((".pc", ".cmake", ".h", ".py")) or "/completions/" in name:
                with open(f"{self.prefix}/{name}", encoding="utf-8") as file:
                    text = file.read()
                self.assertNotIn(BUILD, text, name)
                self.assertNotIn(SOURCE, text, name)

    def test_works(self):
        for prefix in (self.prefix, self.moved):
            with self.subTest(prefix):
                installation = self.installation(prefix)
                installation.check_launcher()
                installation.check_woven()
                installation.check_inspector()
                installation.check_dump()

    def test_links(self):
        for number, prefix in enumerate((self.prefix, self.moved)):
            with self.subTest(prefix):
                self.installation(prefix).check_linked(os.path.join(SOURCE, "tests", "install", "linked"), f"{self.work}/linked{number}", {
                    "PKG_CONFIG_PATH": f"{prefix}/{self.libdir}/pkgconfig", "CMAKE_PREFIX_PATH": prefix})

    def test_manual(self):
        if shutil.which("man") is None:
            self.skipTest("there is no man here")
        installation = self.installation(self.prefix)
        installation.environment["MANPATH"] = f"{self.prefix}/share/man"
        installation.check_manual()

    def test_limits_have_the_lists_whole(self):
        """The page that is made from them: no entry is lost, and it is well formed."""
        path = f"{self.prefix}/share/man/man7/weft-limits.7"
        with open(path, encoding="utf-8") as file:
            page = file.read().replace("\\-", "-")
        def lines(*place):
            with open(os.path.join(SOURCE, *place), encoding="utf-8") as file:
                return file.read()
        hooks = re.findall(r"^WEFT_(?:HOOK|ALIAS)\(\w+, (\w+),", lines("hook", "functions.def"), re.M)
        counters = re.findall(r"^WEFT_METRIC\((\w+),", lines("sched", "metrics.def"), re.M)
        differences = lines("README.md").split("## What differs")[1].split("\n## ")[0]
        self.assertEqual(re.findall(r"^(\w+)$", page.split(".SH \"HOOKED CALLS\"")[1], re.M), hooks)
        self.assertEqual(re.findall(r"^\.B (\w+)$", page.split(".SH COUNTERS")[1].split(".SH")[0], re.M)[2:], counters)
        self.assertEqual(page.count("\nNatively: "), len(re.findall(r"^\| ", differences, re.M)) - 1)
        self.assertEqual(re.findall(r"@\w*@|<\w+>|`", page), [])
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z", path], capture_output=True, text=True, check=True)
            self.assertEqual(done.stderr, "")

    def test_gdb(self):
        for prefix in (self.prefix, self.moved):
            self.installation(prefix).check_gdb([f"set auto-load safe-path {prefix}/{self.libdir}"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
