# SPDX-License-Identifier: Apache-2.0
"""weft trace: a file as the schema and Chrome's format say; what is in it is what the counters say; what is lost is said."""
import json
import os
import re
import signal
import subprocess

import woven

EVENTS = {"begin": "coroutines_created", "finish": "coroutines_finished", "run": "switches", "hand_off": "handoffs", "region_enter": "regions"}


def size_of(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return int(re.search(r"VmSize:\s+(\d+)", file.read())[1])


def catches_interrupts(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        caught = int(re.search(r"(?m)^SigCgt:\s*([0-9a-f]+)$", file.read()).group(1), 16)
    return caught >> (signal.SIGINT - 1) & 1


class TraceTest(woven.WovenTest):

    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.work, "timeline.json")

    def recorder(self, process, *flags):
        """weft trace, which goes on until it is interrupted."""
        recorder = subprocess.Popen([woven.INSPECT, "trace", str(process.pid), "-o", self.file, "-d", "10m", *flags],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, recorder)
        self.addCleanup(recorder.stderr.close)
        return recorder

    def recorded(self, recorder, status=0):
        """Interrupts it: what it has printed, and the timeline."""
        recorder.send_signal(signal.SIGINT)
        printed, said = recorder.communicate(timeout=woven.PATIENCE * 2)
        self.assertEqual((recorder.returncode, said), (status, ""))
        with open(self.file, encoding="utf-8") as file:
            timeline = json.load(file)
        if woven.jsonschema is not None:
            with open(os.path.join(woven.SOURCE, "tools", "inspect", "schema_trace.json"), encoding="utf-8") as file:
                woven.jsonschema.Draft7Validator(json.load(file)).validate(timeline)
        self.check_form(timeline)
        return printed, timeline

    def check_form(self, timeline):
        """Slices of a row do not overlap, each wait and region has its end, and all lie in the time of the recording."""
        last = timeline["otherData"]["seconds"] * 1e6
        busy, opened = {}, {}
        for event in timeline["traceEvents"]:
            if event["ph"] == "M":
                continue
            self.assertLessEqual(event["ts"] + event.get("dur", 0), last + 0.01, event)
            key = (event.get("cat"), event.get("id"))
            if event["ph"] == "b":
                self.assertNotIn(key, opened)
                opened[key] = event
            elif event["ph"] == "e":
                self.assertLessEqual(opened.pop(key)["ts"], event["ts"])
            elif event["ph"] == "X":
                busy.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
        self.assertEqual(opened, {})
        for slices in busy.values():
            slices.sort()
            for before, after in zip(slices, slices[1:]):
                self.assertLessEqual(before[1], after[0] + 0.01)

    def round(self, process):
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"done\n")

    def settled(self, process):
        """The counters, when all threads of the rounds have left the runtime."""
        def at_rest():
            answer = self.inspect_json("stat", process.pid)
            counters = answer["counters"]
            ended = counters["coroutines_created"] == counters["coroutines_finished"]
            return counters if ended and all(worker["sleeping"] for worker in answer["workers"]) else None

        return self.until(at_rest)

    def test_counts_are_those_of_the_counters(self):
        process = self.start("rounds", WEFT_WORKERS="1")
        self.round(process)
        size = size_of(process)
        recorder = self.recorder(process)

        def under_way():  # it begins when the program's monitor looks, and that makes the rings
            self.round(process)
            return size_of(process) >= size + 2 * 2048

        self.until(under_way)
        before = self.settled(process)
        for _ in range(5):
            self.round(process)
        after = self.settled(process)
        printed, timeline = self.recorded(recorder)
        self.assertEqual(timeline["otherData"]["lost"], 0)
        self.assertNotIn("lost", printed)
        events = sum(timeline["otherData"]["events"].values())
        self.assertRegex(printed, rf"^{re.escape(self.file)}: {events:,} events in \d+\.\d+ s\n")

        # The coroutines of the five rounds, by their ids, which are given in order.
        first, count = before["coroutines_created"] + 1, after["coroutines_created"] - before["coroutines_created"]
        self.assertEqual(count, 25)
        ours = set(range(first, first + count))
        shown = {"begin": 0, "finish": 0, "run": 0, "region_enter": 0, "park": 0, "woken": 0}
        routines = set()
        for event in timeline["traceEvents"]:
            arguments = event.get("args", {})
            if event["ph"] == "i" and event["name"].startswith("begins: ") and arguments["id"] in ours:
                shown["begin"] += 1
                routines.add(event["name"].removeprefix("begins: "))
            if event["ph"] == "i" and event["name"].startswith("ends: ") and int(event["name"].rsplit("#", 1)[1]) in ours:
                shown["finish"] += 1
            if event["ph"] == "X" and arguments.get("id") in ours:
                shown["run"] += 1
            if event.get("id") in ours:
                if event["ph"] == "b":
                    shown["park" if event["cat"] == "wait" else "region_enter"] += 1
                elif event["cat"] == "wait" and "woken by" in arguments:
                    shown["woken"] += 1
        difference = {name: after[counter] - before[counter] for name, counter in EVENTS.items()}
        for name in ("begin", "finish", "run", "region_enter"):
            self.assertEqual(shown[name], difference[name], name)
        self.assertEqual(routines, {"waits_for_post", "waits_for_byte", "computes_until_another_has_run", "wants_mutex", "calls"})
        self.assertGreaterEqual(difference["region_enter"], 10)
        # A wait that was over before its coroutine had left is counted and not seen.
        self.assertLessEqual(shown["park"], after["parks"] - before["parks"])
        self.assertGreaterEqual(shown["park"], 5)
        self.assertEqual(shown["woken"], shown["park"])

        # Of the whole recording, in which more happened than in those rounds.
        totals = timeline["otherData"]["events"]
        hand_offs = sum(event["name"].startswith("handed off") for event in timeline["traceEvents"])
        self.assertEqual(hand_offs, totals["hand_off"])
        self.assertGreaterEqual(difference["hand_off"], 5)
        self.assertGreaterEqual(totals["hand_off"], difference["hand_off"])
        for name, counter in EVENTS.items():
            self.assertLessEqual(totals[name], after[counter], name)

    def churning(self):
        """A process in which coroutines switch all the time, and its recorder, which is known to be recording."""
        process = self.start("churn", "100")
        size = size_of(process)
        recorder = self.recorder(process, "--strict", "--json")

        def under_way():  # the rings are there, and an interrupt would end the recording
            return size_of(process) >= size + 3 * 2048 and catches_interrupts(recorder)

        self.until(under_way)
        return process, recorder

    def switches(self, process):
        return self.inspect_json("stat", process.pid)["counters"]["switches"]

    def test_churn(self):
        process, recorder = self.churning()
        enough = self.switches(process) + 100000

        def has_switched():
            return self.switches(process) > enough

        self.until(has_switched)
        recorder.send_signal(signal.SIGINT)
        printed = recorder.communicate(timeout=woven.PATIENCE * 2)[0]
        answer = self.checked(printed)
        with open(self.file, encoding="utf-8") as file:
            timeline = json.load(file)
        other = timeline["otherData"]
        self.assertEqual((answer["events"], answer["lost"]), (sum(other["events"].values()), other["lost"]))
        # Said by the exit status too, which --strict asks for.
        self.assertEqual(recorder.returncode, 8 if other["lost"] else 0)
        self.assertGreater(other["events"]["run"], 10000)
        self.assertLessEqual(other["events"]["run"], self.switches(process))
        if other["lost"] == 0:
            self.check_form(timeline)
        names = {event["name"] for event in timeline["traceEvents"] if event["ph"] == "X" and "args" in event}
        self.assertGreaterEqual(len(names), 100)

    def test_what_is_lost_is_said(self):
        process, recorder = self.churning()
        recorder.send_signal(signal.SIGSTOP)
        # More than the rings hold, of which each switch is one event.
        enough = self.switches(process) + 4 * 65536

        def has_switched():
            return self.switches(process) > enough

        self.until(has_switched)
        recorder.send_signal(signal.SIGCONT)
        recorder.send_signal(signal.SIGINT)
        printed = recorder.communicate(timeout=woven.PATIENCE * 2)[0]
        self.assertEqual(recorder.returncode, 8)
        self.assertGreater(self.checked(printed)["lost"], 65536)
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["otherData"]["lost"], json.loads(printed)["lost"])

    def test_nothing_to_record(self):
        process = self.start("stacks")

        def asleep():  # its monitor goes to sleep when nothing is left to do
            return "All its coroutines were parked all the time." in self.inspect("trace", process.pid, "-o", self.file, "-d", "50ms")

        self.until(asleep)
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["otherData"]["lost"], 0)

    def test_usage(self):
        for words, text in ((["1"], "weft trace needs -o FILE"), (["1", "-o", self.file, "-d", "0s"], "-d takes a time from 1ms to 10m00s"),
                            (["-o", self.file], "needs a TARGET")):
            done = self.run_inspect("trace", *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(text, done.stderr)
        process = self.start("stacks")
        snapshot = os.path.join(self.work, "snapshot")
        self.inspect("snap", process.pid, "-o", snapshot)
        self.assertIn("needs a live process", self.run_inspect("trace", snapshot, "-o", self.file).stderr)


woven.main()
