# SPDX-License-Identifier: Apache-2.0
"""What tests of stacks share on top of woven.py: programs begun by the launcher, which end with a block, what the launcher's commands
answer about them, and which frames of descent.h there must be."""
import json
import os
import re
import subprocess

import woven
from woven import INSPECT, LIBRARY, PROGRAMS, SOURCE

BUILD = os.path.dirname(LIBRARY)
WEFT = os.path.join(BUILD, "weft")
SCHEMA = os.path.join(SOURCE, "tools", "inspect", "schema.json")
COUNT = int(os.environ.get("INSPECT_COUNT", "2000"))

# Functions of descent.h; what is between them is libc's.
KNOWN = re.compile(r"^(?:([ab])_(descend|bottom|compare|through_libc|called_back|through_library|template<\d>::descend|through_alloca)\b"
                   r"|(inspect_library_call)\b|(run)\()")


class Woven:
    """A program under weft with two workers, which has written "ready". Ends with the block."""

    def __init__(self, program, *arguments, preload=None, **options):
        path = program if os.path.isabs(program) else os.path.join(PROGRAMS, program)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "LD_"))}
        environment.update(options.pop("environment", {}))
        words = [WEFT, "run", "--workers", "2", "--", path]
        if preload:
            environment.update(LD_PRELOAD=preload, WEFT_WORKERS="2")
            words = [path]
        self.process = subprocess.Popen(words + [str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=environment, **options)
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        assert line == b"ready\n", line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def weft(*words, **options):
    """The launcher's answer to a command of the inspector."""
    return subprocess.run([WEFT] + [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False, **options)


def answer(*words, status=0):
    result = weft(*words, "--json")
    if result.returncode != status:
        raise AssertionError(f"{words}: exit status {result.returncode}\n{result.stderr}")
    return json.loads(result.stdout)


def settled(target, count):
    """Waits until all are parked: by looking, as often as a generous bound allows."""
    for _ in range(2000):
        states = answer("ps", target, "-n", 0, "--no-stop")["states"]
        if states["parked"] == count:
            return
    raise AssertionError(f"they never came to rest: {states}")


def own_frames(frames, name_of=lambda frame: frame["function"]):
    """The frames of descent.h in a stack, innermost first, and no others."""
    result = []
    for frame in frames:
        found = KNOWN.match(name_of(frame) or "")
        if not found:
            continue
        flavour, function, library, start = found.groups()
        result.append(library or start or f"{flavour}_{function}")
    return result


def expected_frames(flavour, depth):
    """What a thread of depths.cc or churn.cc at that depth must look like, innermost first."""
    x = flavour
    frames = [f"{x}_bottom", f"{x}_descend"]
    for level in reversed(range(depth)):
        frames += {0: [f"{x}_compare", f"{x}_through_libc"],
                   1: [f"{x}_called_back", "inspect_library_call", f"{x}_through_library"],
                   2: [f"{x}_template<{level % 3}>::descend"],
                   3: [f"{x}_through_alloca"]}[level % 4]
        frames.append(f"{x}_descend")
    return frames + ["run"]


def wrong_stacks(bt, name_of=lambda frame: frame["function"]):
    """Of an answer about depths.cc: (number of stacks looked at, those that are not as they must be)."""
    frames = {stack["id"]: own_frames(stack["frames"], name_of) for stack in bt["stacks"]}
    seen, wrong = 0, []
    for coroutine in bt["coroutines"]:
        words = coroutine["name"].split()
        if len(words) != 3:
            continue
        seen += 1
        have = frames.get(coroutine["stack"], [])
        if coroutine["ending"] != "complete" or have != expected_frames(words[0], int(words[1])):
            wrong.append((coroutine["name"], coroutine["state"], coroutine["ending"], have))
    return seen, wrong


class Case(woven.WovenTest):
    def setUp(self):
        super().setUp()
        self.directory = self.work
        os.chmod(self.directory, 0o755)  # of programs of other users too

    def path(self, name):
        return os.path.join(self.directory, name)

    def assert_all_right(self, bt, count, name_of=lambda frame: frame["function"]):
        seen, wrong = wrong_stacks(bt, name_of)
        self.assertEqual(seen, count)
        self.assertEqual(wrong[:3], [], f"{len(wrong)} of {seen} stacks are wrong")
