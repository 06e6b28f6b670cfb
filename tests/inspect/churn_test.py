# SPDX-License-Identifier: Apache-2.0
"""Under full-speed switching on two workers no stack is a mixture of two moments; without the sequence check the same test finds many."""
import os
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


def look(pid, *flags):
    """(stacks that hold still or were stopped, those of them that are wrong, those that are said to be moving or partial)."""
    result = weft("bt", pid, "--json", *flags)
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
