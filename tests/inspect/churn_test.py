# SPDX-License-Identifier: Apache-2.0
"""Under full-speed switching on two workers no stack is a mixture of two moments; without the sequence check the same test finds many."""
import os
import random
import signal
import subprocess
import tempfile
import time
import unittest

from inspector import Case, Woven, expected_frames, own_frames, weft

import json

RUNS = int(os.environ.get("INSPECT_RUNS", "20"))
THREADS = 100


def is_wrong(frames):
    """Frames of descent.h that no moment of a thread of churn.cc can have."""
    if not frames or frames[-1] != "run":
        return True
    # On the way down or up the innermost ones may be missing: the outer part of some whole chain is what there must be.
    flavour = next((f[0] for f in frames if f[1] == "_"), "a")
    whole = expected_frames(flavour, 20)
    for depth in range(21):
        whole = expected_frames(flavour, depth)
        if len(whole) >= len(frames) and whole[len(whole) - len(frames):] == frames:
            return False
    return True


def look(target, *flags):
    """(stacks that hold still or were stopped, those of them that are wrong, those that are said to be moving or partial)."""
    result = weft("bt", target, "--json", *flags)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    bt = json.loads(result.stdout)
    seen, wrong, unsettled = 0, [], 0
    count = {stack["id"]: len(stack["coroutines"]) for stack in bt["stacks"]}
    for stack in bt["stacks"]:
        if stack["ending"] in ("moving", "partial"):
            unsettled += count[stack["id"]]
            continue
        frames = own_frames(stack["frames"])
        # One that has only just begun, or comes to its end, is in the runtime alone.
        if not frames and stack["ending"] == "complete" and len(stack["frames"]) <= 4:
            continue
        seen += count[stack["id"]]
        if stack["ending"] != "complete" or is_wrong(frames):
            wrong += [(stack["ending"], frames)] * count[stack["id"]]
    return seen, wrong, unsettled


class Churn(Case):
    def test_no_stack_is_wrong(self):
        with Woven("inspect_churn", THREADS) as woven:
            seen, unsettled = 0, 0
            for _ in range(RUNS):
                found, wrong, moving = look(woven.pid)
                self.assertEqual(wrong[:3], [], f"{len(wrong)} stacks are wrong")
                seen += found
                unsettled += moving
            print(f"{seen} stacks in {RUNS} looks, 0 wrong, {unsettled} said to be moving")
            self.assertGreater(seen, RUNS * THREADS // 2)

    def check_snapshots(self, runs, disturb):
        """No stack of so many is wrong. disturb(process): what is done to the one that takes it."""
        with Woven("inspect_churn", THREADS) as woven, tempfile.TemporaryDirectory() as directory:
            seen, unsettled = 0, 0
            for _ in range(runs):
                taken = subprocess.Popen([os.environ["WEFT_INSPECT"], "snap", str(woven.pid), "-o", f"{directory}/snap"],
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                disturb(taken)
                _, said = taken.communicate(timeout=60)
                self.assertEqual(taken.returncode, 0, said)
                found, wrong, moving = look(f"{directory}/snap")
                self.assertEqual(wrong[:3], [], f"{len(wrong)} stacks are wrong")
                seen += found
                unsettled += moving
            print(f"{seen} stacks in {runs} snapshots, 0 wrong, {unsettled} said to be moving")
            self.assertGreater(seen, runs * THREADS // 2)

    def test_no_stack_of_a_snapshot_is_wrong(self):
        self.check_snapshots(RUNS, lambda process: None)

    def test_no_stack_of_a_snapshot_that_takes_long_is_wrong(self):
        """Its process gets the CPU for some milliseconds at a time, as on a machine that has others to run."""
        def hinder(process):
            while process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                time.sleep(random.uniform(0.01, 0.1))
                process.send_signal(signal.SIGCONT)
                time.sleep(random.uniform(0.001, 0.02))
        self.check_snapshots(RUNS // 2, hinder)

    def test_control_without_the_check(self):
        with Woven("inspect_churn", THREADS) as woven:
            seen, bad = 0, 0
            for _ in range(RUNS):
                found, wrong, _ = look(woven.pid, "--no-sequence-check")
                seen += found
                bad += len(wrong)
            print(f"{bad} of {seen} stacks wrong without the check")
            self.assertGreater(bad, 0)


unittest.main()
