# SPDX-License-Identifier: Apache-2.0
"""weft flame: the SVG is well-formed XML that needs nothing else, and its figures, the folded lines and speedscope's add up to the same."""
import json
import os
import xml.etree.ElementTree

import woven

SVG = "{http://www.w3.org/2000/svg}"


class FlameTest(woven.WovenTest):

    def setUp(self):
        super().setUp()
        self.process = self.start("stacks")

        def parked():
            return self.inspect_json("ps", self.process.pid)["states"]["parked"] == 6

        self.until(parked)

    def flame(self, *options):
        path = os.path.join(self.work, "out")
        self.inspect("flame", self.process.pid, "-o", path, *options)
        with open(path, encoding="utf-8") as file:
            return file.read()

    def test_svg(self):
        document = self.flame()
        root = xml.etree.ElementTree.fromstring(document)
        self.assertEqual(root.tag, SVG + "svg")
        titles = [group.find(SVG + "title").text for group in root.iter(SVG + "g")]
        self.assertIn("all (6 coroutines, 100.00%)", titles)
        self.assertIn("begins (6 coroutines, 100.00%)", titles)
        for element in root.iter():
            for name, value in element.attrib.items():
                self.assertNotIn("href", name)
                self.assertFalse(value.startswith("http"), value)

    def test_folded(self):
        lines = [line.rsplit(" ", 1) for line in self.flame("--format", "folded").splitlines()]
        self.assertEqual(sum(int(weight) for _, weight in lines), 6)
        depths = sorted(stack.split(";").count("deeper") for stack, _ in lines)
        self.assertEqual(depths, [1, 2, 3, 4, 5, 6])
        for stack, _ in lines:
            self.assertTrue(stack.startswith("begins;deeper"), stack)
            self.assertIn("waits_for_", stack)

    def test_speedscope(self):
        document = json.loads(self.flame("--format=speedscope"))
        profile = document["profiles"][0]
        self.assertEqual(sum(profile["weights"]), profile["endValue"])
        self.assertEqual(len(profile["weights"]), len(profile["samples"]))
        names = [frame["name"] for frame in document["shared"]["frames"]]
        for sample in profile["samples"]:
            self.assertEqual(names[sample[0]], "begins")

    def test_weights_and_filter(self):
        def waited():
            return sum(int(line.rsplit(" ", 1)[1]) for line in self.flame("--format=folded", "--weight=since").splitlines())

        self.assertGreater(self.until(waited), 0)
        only = self.flame("--format=folded", "--where", "frame~waits_for_lock")
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in only.splitlines()), 3)
        self.assertNotIn("waits_for_input", only)

    def test_errors(self):
        self.inspect("flame", self.process.pid, "--format", "png", status=2)
        self.inspect("flame", self.process.pid, "--weight", "tons", status=2)
        self.inspect("flame", self.process.pid, "-o", "/nowhere/at/all", status=3)


woven.main()
