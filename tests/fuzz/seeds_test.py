# SPDX-License-Identifier: Apache-2.0
"""The seeds are what they are meant to be: the inspector reads all of them to the end, so that fuzzers begin behind every check."""
import json
import os
import subprocess
import unittest

INSPECT = os.environ["WEFT_INSPECT"]
SEEDS = os.environ["WEFT_SEEDS"]
SMALL = os.environ["WEFT_SMALL_TARGET"]
STACK = ["switched_out", "fixed", "pointer", "expression", "trampoline"]


def answer(*words, status=0):
    done = subprocess.run([INSPECT, *words, "--json", "--exe", SMALL], capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise AssertionError(f"{words}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


class Seeds(unittest.TestCase):
    def check(self, path, unwinder, status=0):
        found = answer("bt", path, "--all-frames", "--unwinder", unwinder, status=status)
        (stack,) = [each for each in found["stacks"] if each["count"] == 6]
        self.assertEqual(stack["ending"], "complete")
        self.assertEqual([frame["function"] for frame in stack["frames"]], STACK)

    def test_snapshot(self):
        for unwinder in ("libunwind", "libdw"):
            self.check(os.path.join(SEEDS, "snapshot", "seed_0"), unwinder)

    def test_core(self):
        # Two coroutines have no stack in it: status 7.
        for unwinder in ("libunwind", "libdw"):
            self.check(os.path.join(SEEDS, "core", "seed_0"), unwinder, status=7)

    def test_waits(self):
        found = answer("lint", os.path.join(SEEDS, "snapshot", "seed_0"), status=1)
        self.assertIn("deadlock", [finding["rule"] for finding in found["findings"]])


if __name__ == "__main__":
    unittest.main()
