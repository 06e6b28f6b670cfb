# SPDX-License-Identifier: Apache-2.0
"""weft stat: the counters are those that --stats prints at the end, each of them, live and from a snapshot; and for Prometheus."""
import os
import re

import woven

# What there is at the moment, and no count.
GAUGES = {"coroutines_alive", "coroutines_waiting", "coroutine_slots", "tls_bytes"}


class StatTest(woven.WovenTest):

    def test_counters_are_those_of_the_end(self):
        table = os.path.join(self.work, "table")
        process = self.start("stacks", WEFT_STATS=table)

        def parked():
            return self.inspect_json("ps", process.pid)["states"]["parked"] == 6

        self.until(parked)
        live = self.inspect_json("stat", process.pid)
        counters = live["counters"]
        self.assertEqual(counters["coroutines_waiting"], 6)
        self.assertEqual(counters["switches"], sum(worker["switches"] for worker in live["workers"]))
        self.assertGreaterEqual(counters["switches"], 6)

        snapshot = os.path.join(self.work, "snapshot")
        self.inspect("snap", process.pid, "-o", snapshot)
        self.assertEqual(self.inspect_json("stat", snapshot)["counters"], counters)

        process.communicate()
        self.assertEqual(process.returncode, 0)
        with open(table, encoding="utf-8") as file:
            at_end = {name: int(value) for name, value in re.findall(r"(?m)^(\w+) (\d+)$", file.read())}
        self.assertEqual(set(counters), set(at_end))
        for name in ("coroutines_created", "coroutine_slots", "tls_bytes", "blocks_cast", "blocks_harvested", "fallbacks"):
            self.assertEqual(counters[name], at_end[name], name)
        for name in set(counters) - GAUGES:
            self.assertLessEqual(counters[name], at_end[name], name)
        # glibc's own TLS and the TCB at the least.
        self.assertGreater(counters["tls_bytes"], 2000)

    def test_prometheus(self):
        process = self.start("stacks")
        counters = self.inspect_json("stat", process.pid)["counters"]
        text = self.inspect("stat", process.pid, "--prom")
        types = dict(re.findall(r"(?m)^# TYPE weft_(\w+) (\w+)$", text))
        values = dict(re.findall(r"(?m)^weft_(\w+) (\d+)$", text))
        for name in counters:
            exported = name if name in GAUGES else name + "_total"
            self.assertEqual(types[exported], "gauge" if name in GAUGES else "counter")
            self.assertIn(exported, values)
        self.assertEqual(int(values["tls_bytes"]), counters["tls_bytes"])


woven.main()
