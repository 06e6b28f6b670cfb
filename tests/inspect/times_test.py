# SPDX-License-Identifier: Apache-2.0
"""Since when each waits, and how long it ran: times that cannot be are told by times that are taken here."""
import time

import woven

MILLISECOND = 1_000_000
COARSE = 100 * MILLISECOND  # the runtime's clock is a few milliseconds late, on a busy machine more
LOOK_AFTER = 100 * MILLISECOND  # the monitor ends a poll once that waits for longer, to let it look for itself


class TimesTest(woven.WovenTest):

    def setUp(self):
        super().setUp()
        self.process = self.start("times")

    def coroutines(self):
        return {one["name"]: one for one in self.inspect_json("ps", self.process.pid)["coroutines"]}

    def test_a_poll_that_the_monitor_has_looked_at(self):
        def looked_at():
            one = self.coroutines()["poll"]
            return one if one["switches"] >= 2 and one["state"] == "parked" else None

        one = self.until(looked_at)
        self.assertEqual(one["wait"]["kind"], "poll")
        self.assertIsNotNone(one["wait"]["since"])
        self.assertGreaterEqual(one["wait"]["since"], LOOK_AFTER - COARSE // 2)
        self.assertLessEqual(one["wait"]["since"], one["age"] + COARSE)
        listed = self.inspect_json("ps", self.process.pid, "--where", "wait=poll and since>50ms")["coroutines"]
        self.assertEqual([each["name"] for each in listed], ["poll"])

    def next_line(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.assertEqual(self.process.stdout.readline(), b"ready\n")

    def test_each_kind_of_wait_has_its_own_beginning(self):
        names = ("sleep", "signal", "region")
        self.until_all_have_waited()
        before = time.monotonic_ns()
        self.next_line()

        def wait_anew():
            found = self.coroutines()
            return found if all((found[name]["wait"] or {}).get("kind") == name for name in names) else None

        found = self.until(wait_anew)
        passed = time.monotonic_ns() - before
        for name in names:
            with self.subTest(name):
                self.assertIsNotNone(found[name]["wait"]["since"])
                self.assertLessEqual(found[name]["wait"]["since"], passed + COARSE)

    def until_all_have_waited(self):
        """So long that nobody in the runtime looks at anything any more."""
        def have_waited():
            return all(one["wait"] and one["wait"]["since"] > 10 * COARSE for one in self.coroutines().values())

        self.until(have_waited)

    def test_nobody_ran_longer_than_there_was_time(self):
        self.until_all_have_waited()
        before = time.monotonic_ns()
        self.next_line()

        def was_seen_running():
            return self.coroutines()["busy"]["longestRun"] > 0

        self.until(was_seen_running)
        self.next_line()
        found = self.coroutines()
        passed = time.monotonic_ns() - before
        for name, one in found.items():
            with self.subTest(name):
                self.assertLessEqual(one["longestRun"], one["runTime"])
                self.assertLessEqual(one["runTime"], passed + COARSE)


woven.main()
