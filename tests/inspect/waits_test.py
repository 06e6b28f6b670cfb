# SPDX-License-Identifier: Apache-2.0
"""What is waited for is said: descriptors with their peers, locks with their owners, whom a join waits for, until when a sleep lasts, and
in which call a region is. Filters, orders and groups of the list; counters; JSON against its schema."""
import json
import re
import shutil
import subprocess
import unittest

from inspector import SCHEMA, Case, Woven, answer, weft

KINDS = ["sleep", "read", "poll", "mutex", "rwlock read", "rwlock write", "join", "semaphore", "condition", "region"]


def waiting(target):
    """Coroutines by name, once each waits for what its name says."""
    for _ in range(2000):
        found = {c["name"]: c for c in answer("ps", target)["coroutines"]}
        if all((found[k]["wait"] or {}).get("kind") == k for k in KINDS):
            return found
    raise AssertionError({k: c["wait"] for k, c in found.items()})


class Waits(Case):
    def test_everything(self):
        with Woven("inspect_waits") as woven:
            found = waiting(woven.pid)
            holder = found["sleep"]["id"]
            self.check(found, holder)
            self.check_against_ss(woven.pid, found["read"]["wait"]["fds"][0])
            self.check_regions(found)

    def check(self, found, holder):
        wait = {kind: found[kind]["wait"] for kind in KINDS}
        self.assertEqual(wait["mutex"]["owner"], holder)
        self.assertEqual(wait["rwlock read"]["owner"], holder)
        self.assertEqual(wait["rwlock write"]["owner"], holder)
        self.assertEqual(wait["join"]["target"], holder)
        self.assertTrue(0 < wait["sleep"]["left"] <= 100_000 * 10**9)
        self.assertEqual(wait["read"]["fds"][0]["kind"], "tcp")
        self.assertEqual([fd["kind"] for fd in wait["poll"]["fds"]], ["pipe", "tcp"])
        # The two ends of one connection: what is one's own address is the other's peer.
        ours, other = wait["read"]["fds"][0], wait["poll"]["fds"][1]
        self.assertEqual((ours["local"], ours["peer"]), (other["peer"], other["local"]))
        for kind in ("semaphore", "condition", "mutex"):
            self.assertRegex(wait[kind]["object"], "^0x[0-9a-f]+$")

    def check_regions(self, found):
        # The one is the other: waitpid may end in a jump to wait4.
        self.assertIn(found["region"]["wait"]["function"], ("waitpid", "wait4"))

    def check_against_ss(self, pid, fd):
        if shutil.which("ss") is None:
            return
        lines = subprocess.run(["ss", "-Htnp"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        for line in lines:
            if re.search(rf"pid={pid},fd={fd['fd']}\b", line):
                self.assertEqual(line.split()[3:5], [fd["local"], fd["peer"]])

    def test_list(self):
        with Woven("inspect_waits") as woven:
            found = waiting(woven.pid)
            pid = woven.pid
            for where, names in (("wait=read", {"read"}),
                                 ("wait='rwlock read' or wait=join", {"rwlock read", "join"}),
                                 ("state=parked and not (wait!=mutex)", {"mutex"}),
                                 ("frame~^lock_mutex", {"mutex"}),
                                 (f"owner={found['sleep']['id']} and object>0", {"mutex", "rwlock read", "rwlock write"}),
                                 ("start~poll_(two|three)", {"poll"}),
                                 ("left>1h", {"sleep"}),
                                 ("since>1d", set())):
                with self.subTest(where=where):
                    self.assertEqual({c["name"] for c in answer("ps", pid, "--where", where)["coroutines"]}, names)
            # As the help says it: a name's beginning, in any line of the stack, and an order.
            for where, names in (("frame~^lock_", {"mutex"}), ("frame~^mutex_", set())):
                words = ("--where", where, "--sort", "-since", "-n", "20")
                self.assertEqual({c["name"] for c in answer("ps", pid, *words)["coroutines"]}, names, where)
            ordered = [c["id"] for c in answer("ps", pid, "--sort=-id", "-n3")["coroutines"]]
            self.assertEqual(ordered, sorted((c["id"] for c in found.values()), reverse=True)[:3])
            text = weft("ps", pid, "--columns", "id,name,peer,top").stdout.splitlines()
            self.assertRegex(text[0], rf"^process {pid}: 10 coroutines: ")
            self.assertEqual(text[1].split(), ["ID", "NAME", "PEER", "TOP"])
            self.assertTrue(any("127.0.0.1:" in line and line.endswith("read_socket") for line in text))
            groups = answer("ps", pid, "--group=wait")["groups"]
            self.assertIn({"wait": "mutex", "count": 1}, groups)

    def test_counters(self):
        with Woven("inspect_waits") as woven:
            waiting(woven.pid)
            seen = answer("stat", woven.pid)
            counters = seen["counters"]
            self.assertEqual(counters["coroutines_created"], 10)
            self.assertGreaterEqual(counters["switches"], 10)
            self.assertEqual(counters["switches"], sum(worker["switches"] for worker in seen["workers"]))
            lines = weft("stat", woven.pid, "--prom").stdout.splitlines()
            self.assertIn("weft_coroutines_created_total 10", lines)
            self.assertIn("# TYPE weft_coroutines_created_total counter", lines)
            self.assertTrue(any(line.startswith("# HELP weft_coroutines_created_total ") for line in lines))
            for line in lines:
                self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{worker="\d+"\})? \d+)$')

    def test_schema(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        with open(SCHEMA, encoding="utf-8") as file:
            schema = json.load(file)
        with Woven("inspect_waits") as woven:
            waiting(woven.pid)
            for words in (("ps", woven.pid), ("ps", woven.pid, "--group=top"), ("bt", woven.pid, "--threads", "--all-frames"),
                          ("stat", woven.pid), ("snap", woven.pid, "-o", self.path("snapshot")), ("bt", self.path("snapshot"))):
                with self.subTest(words=words):
                    jsonschema.validate(answer(*words), schema)


unittest.main()
