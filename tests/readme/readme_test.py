# SPDX-License-Identifier: Apache-2.0
"""README.md as its reader meets it: every command in it is run, and does what README says.

With the argument "commands" what needs no package is run on top of this system, with weft installed in /usr from the build; with "new", in a
root that has nothing, the packages are built, installed, used for the first hour and purged, as README has it; with "demo" and "benches" what
loads the machine. Each has its own processes and loopback network. Environment: README_BUILD, README_CMAKE, README_CTEST.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "install"))
import document
from elsewhere import BY_ANOTHER, ELSEWHERE, SMALLER, STATUS
from roots import LayeredRoot, NewRoot, reason_against
from session import LOOK, Session, woven

CHECKOUT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ["README_BUILD"]
PURGE = "dpkg --purge weft libweft-dev libweft0"


def read_readme(path="README.md"):
    with open(f"{CHECKOUT}/{path}", encoding="utf-8") as file:
        return document.read(file.read(), CHECKOUT)


def mentions(commands):
    """Those in the text that are the beginning of another command, or stand there once more."""
    wholes = [re.split(r" (?:&&|&|\|)", each.text)[0].split() for each in commands]
    mentioned, seen = [], []
    for each in commands:
        words = each.text.split()
        longer = any(whole[:len(words)] == words and (other.shown or len(whole) > len(words)) for whole, other in zip(wholes, commands))
        if not each.shown and (words in seen or longer):
            mentioned.append(each)
        seen.append(words)
    return mentioned


def elsewhere(command):
    return command.text in BY_ANOTHER or command.text in SMALLER or command.text in ELSEWHERE


def to_run(commands):
    mentioned = mentions(commands)
    return [each for each in commands if each not in mentioned and not elsewhere(each)]


class ReadmeTest(unittest.TestCase):

    def root(self, kind, **how):
        reason = reason_against()
        if reason:
            self.skipTest(reason)
        work = os.path.realpath(tempfile.mkdtemp(prefix="weft-readme-"))
        self.addCleanup(shutil.rmtree, work)
        self.shared = f"{work}/shared"
        os.makedirs(self.shared)
        root = kind(work, self.shared, alone=True, **how)
        self.addCleanup(root.close)
        return root

    def layered(self):
        root = self.root(LayeredRoot, tree=CHECKOUT)
        root.run(os.environ["README_CMAKE"], "--install", BUILD, "--prefix", "/usr")
        return root

    def session(self, enter, place, environment=()):
        return Session(enter, place, self.shared, environment)

    def check_woven(self, session, jobs):
        """Each server that still runs: its threads are coroutines."""
        for command, pid in jobs:
            counters = session.counters(pid)
            self.assertTrue(woven(counters), f"line {command.line}: {command.text}: {counters}")
        jobs.clear()

    def do_part(self, enter, place, commands):
        jobs = []
        with self.session(enter, place) as session:
            for command in commands:
                if document.first_program(command.text) == "kill":
                    self.check_woven(session, jobs)
                wrong = session.run(command, STATUS.get(command.text, 0))
                self.assertIsNone(wrong, f"line {command.line}: {command.text}\n{wrong}")
                if command.background:
                    jobs.append((command, session.job))
            self.check_woven(session, jobs)


class Commands(ReadmeTest):

    def test_every_command_is_run(self):
        """Here or in a test that there is; nothing is listed that README does not have."""
        commands, strays = read_readme()
        self.assertEqual(strays, [], "in a block, without $")
        benches = [each for each in read_readme("bench/README.md")[0] if each.text.startswith("bench/")]
        self.assertEqual([each.text for each in to_run(benches)], [])
        listed = {*BY_ANOTHER, *SMALLER, *ELSEWHERE, *STATUS}
        self.assertEqual(sorted(listed - {each.text for each in [*commands, *benches]}), [], "README does not have these any more")
        self.assertEqual([each.text for each in to_run(commands) if not each.shown and LOOK.match(each.text) and "help" not in each.text], [])
        done = subprocess.run([os.environ["README_CTEST"], "--test-dir", BUILD, "-N"], capture_output=True, text=True, check=True)
        tests = set(re.findall(r"^ *Test *#\d+: (\S+)$", done.stdout, re.M))
        self.assertEqual({test for test in [*BY_ANOTHER.values(), *(test for test, _ in ELSEWHERE.values()), "readme.benches"] if test} - tests, set())

    def test_options_of_what_runs_the_tests(self):
        """What cannot be run by itself at least knows the options."""
        for text, (test, _) in ELSEWHERE.items():
            program, *words = shlex.split(text)
            if test is None:
                done = subprocess.run([f"{CHECKOUT}/{program}", "--help"], capture_output=True, text=True, check=True)
                self.assertEqual([word for word in words if word.startswith("-") and word not in done.stdout], [], text)

    def test_first_server_is_the_example(self):
        with open(f"{CHECKOUT}/tools/examples/hello_server.c", encoding="utf-8") as file:
            source = file.read()
        (written,) = [each for each in read_readme()[0] if each.text.startswith("cat >hello_server.c ")]
        self.assertEqual("\n".join(written.text.split("\n")[1:-1]) + "\n", source)

    def test_commands(self):
        root = self.layered()
        commands = to_run(read_readme()[0])
        self.assertGreater(len(commands), 40)
        for part in dict.fromkeys(each.part for each in commands):
            with self.subTest(part=part):
                self.do_part(root.enter, CHECKOUT, [each for each in commands if each.part == part])

    def test_without_the_library_nothing_is_woven(self):
        root = self.layered()
        with self.session(root.enter, CHECKOUT, {"WEFT_DISABLE": "1"}) as session:
            for command in [each for each in to_run(read_readme()[0]) if each.part == "First hour"]:
                if LOOK.match(command.text):
                    break
                self.assertIsNone(session.run(command, 0))
                if command.background:
                    server = session.job
            self.assertFalse(woven(session.counters(server)))


class New(ReadmeTest):

    def test_first_hour(self):
        if shutil.which("mmdebstrap") is None:
            self.skipTest("mmdebstrap is not here")
        root = self.root(NewRoot)
        place = "/root/weft"
        listed = subprocess.run(["git", "-C", CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True)
        tar = subprocess.run(["tar", "-C", CHECKOUT, "--null", "--files-from=-", "--ignore-failed-read", "-cf", f"{self.shared}/weft.tar"],
                             input=listed.stdout, capture_output=True)
        self.assertEqual(tar.returncode, 0, tar.stderr)
        root.run("mkdir", place)
        root.run("tar", "-C", place, "-xf", "/mnt/weft.tar")
        commands = [each for each in read_readme()[0] if each.shown or each.text == PURGE]
        purge = [each for each in commands if each.text == PURGE]
        # Packages are fetched by this machine's network, and servers listen in one of their own.
        self.do_part(root.enter_networked, place, [each for each in commands if each.part == "Install" and each not in purge])
        self.do_part(root.enter, place, [each for each in commands if each.part == "First hour"])
        self.do_part(root.enter, place, purge)
        self.assertEqual(root.run("sh", "-c", "find / -xdev -name '*weft*' -not -path '/root/*' -not -path '/mnt/*' -not -path '/var/*'"), "")


class Demo(ReadmeTest):

    def test_demo(self):
        (demo,) = [each for each in read_readme()[0] if each.text.startswith("tools/demo")]
        self.do_part(self.layered().enter, CHECKOUT, [demo])


class Benches(ReadmeTest):

    def test_benches(self):
        """With less to measure than for the tables; each prints what README or bench/README.md shows of it."""
        with open(f"{CHECKOUT}/README.md", encoding="utf-8") as file, open(f"{CHECKOUT}/bench/README.md", encoding="utf-8") as bench:
            tables = {document.plain(line) for line in (file.read() + bench.read()).split("\n") if line.startswith("    ")}
        for text, (smaller, statuses, says) in SMALLER.items():
            with self.subTest(text):
                done = subprocess.run(smaller, shell=True, cwd=CHECKOUT, capture_output=True, text=True)
                self.assertIn(done.returncode, statuses, done.stdout + done.stderr)
                if says:
                    self.assertRegex(done.stdout, re.compile(says, re.M))
                    continue
                rules = [number for number, line in enumerate(done.stdout.split("\n")) if re.match(r" *-{2,}", line)]
                heads = [document.plain(done.stdout.split("\n")[number - 1]) for number in rules]
                self.assertTrue(heads, done.stdout)
                self.assertEqual([head for head in heads if head not in tables], [], done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], {"commands": "Commands", "new": "New", "demo": "Demo", "benches": "Benches"}[sys.argv[1]], *sys.argv[2:]])
