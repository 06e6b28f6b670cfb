# SPDX-License-Identifier: Apache-2.0
"""weft diff of two snapshots of one process: who has not moved, what has come."""
import os

import woven


class DiffTest(woven.WovenTest):

    def snapshot(self, process, name):
        path = os.path.join(self.work, name)
        self.inspect("snap", process.pid, "-o", path)
        return path

    def test_stuck(self):
        process = self.start("stacks")

        def parked():
            return self.inspect_json("ps", process.pid)["states"]["parked"] == 6

        self.until(parked)
        older, newer = self.snapshot(process, "older"), self.snapshot(process, "newer")
        for first, second in ((older, newer), (older, process.pid)):
            answer = self.inspect_json("diff", first, second)
            self.assertEqual((answer["before"], answer["after"], answer["made"], answer["ended"]), (6, 6, 0, 0))
            self.assertEqual(sorted(number for place in answer["stuck"] for number in place["coroutines"]), [1, 2, 3, 4, 5, 6])
            self.assertEqual(answer["grown"] + answer["gone"], [])
            self.assertGreater(answer["between"], 0)
        text = self.inspect("diff", older, newer)
        self.assertIn("stuck: ", text)
        self.assertIn("waits_for_input", text)

    def test_errors(self):
        process = self.start("stacks")
        self.inspect("diff", process.pid, status=2)
        self.inspect("diff", process.pid, "/nowhere", status=3)


woven.main()
