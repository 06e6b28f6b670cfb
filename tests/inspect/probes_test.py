# SPDX-License-Identifier: Apache-2.0
"""The probes of provider weft, as bpftrace and perf see them: each event is hit as often as it happens."""
import os
import re
import shutil
import signal
import subprocess
import unittest

import woven

EVENTS = {"begin", "finish", "hand_off", "park", "pin", "ready", "region_enter", "region_leave", "run", "sleep", "wake"}
THREADS = 5  # of a round of rounds.c


class ProbesTest(woven.WovenTest):

    @unittest.skipIf(shutil.which("readelf") is None, "there is no readelf here")
    def test_each_event_has_a_probe(self):
        notes = subprocess.run(["readelf", "-n", woven.LIBRARY], capture_output=True, text=True, check=True).stdout
        self.assertEqual(set(re.findall(r"Provider: weft\n +Name: (\w+)", notes)), EVENTS)

    def round(self, process):
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"done\n")

    def ended(self, process):
        """The counters, when all threads of the rounds have ended."""
        def at_rest():
            counters = self.inspect_json("stat", process.pid)["counters"]
            return counters if counters["coroutines_finished"] == counters["coroutines_created"] else None

        return self.until(at_rest)

    @unittest.skipIf(shutil.which("bpftrace") is None, "there is no bpftrace here")
    def test_bpftrace(self):
        if os.getuid() != 0:
            self.skipTest("bpftrace takes root")
        process = self.start("rounds", WEFT_WORKERS="1")
        self.round(process)
        probe = f"usdt:{os.path.realpath(woven.LIBRARY)}:weft:"
        # They are attached in this order: what is printed says that all are.
        script = "".join(f"{probe}{event} /pid == {process.pid}/ {{ @{event} = count(); }} " for event in ("begin", "finish", "region_enter"))
        tracer = subprocess.Popen(["bpftrace", "-B", "line", "-e", script + 'interval:ms:100 { printf("attached\\n"); }'],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, tracer)
        self.addCleanup(tracer.stderr.close)
        for line in tracer.stdout:
            if line == "attached\n":
                break
        else:
            self.skipTest("this kernel lets bpftrace attach nothing: " + tracer.stderr.read().strip())
        before = self.ended(process)
        for _ in range(3):
            self.round(process)
        after = self.ended(process)
        tracer.send_signal(signal.SIGINT)
        printed, said = tracer.communicate(timeout=woven.PATIENCE)
        counted = {name: int(number) for name, number in re.findall(r"(?m)^@(\w+): (\d+)$", printed)}
        regions = after["regions"] - before["regions"]
        self.assertEqual(counted, {"begin": 3 * THREADS, "finish": 3 * THREADS, "region_enter": regions}, printed + said)
        self.assertGreaterEqual(regions, 6)


woven.main()
