# SPDX-License-Identifier: Apache-2.0
"""What document.py takes for a command and for the same output, and what it does not."""
import os
import unittest

import document

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
TEXT = """# A title

Say `weft --help`, or `tests/run`; `weft` is a name, `tests/packages.txt` a file, `errno` neither.

    $ echo one && \\
    one
    $ weft ps $!
    process 12: 3 coroutines

    ID  STATE
    $ cat >file <<'END'
    $ not a command
    END
    $ true

## A part

Text with `man weft`.

    a table  1
    tools/demo     # a command without a prompt

    of two pieces
"""


class DocumentTest(unittest.TestCase):

    def test_commands(self):
        commands, strays = document.read(TEXT, ROOT)
        self.assertEqual([(each.text, each.part, each.shown) for each in commands], [
            ("weft --help", "", False), ("tests/run", "", False), ("echo one && \\", "", True), ("weft ps $!", "", True),
            ("cat >file <<'END'\n$ not a command\nEND", "", True), ("true", "", True), ("man weft", "A part", False)])
        self.assertEqual(commands[3].output, ["process 12: 3 coroutines", "", "ID  STATE"])
        self.assertEqual([commands[0].line, commands[3].line, commands[6].line], [3, 7, 18])
        self.assertEqual(strays, ["tools/demo     # a command without a prompt"])

    def test_same(self):
        shown = ["process 12: 3 coroutines, 1.5ms", "ID   STATE", "--  -----", " 1  parked"]
        for output in ("process 7: 41 coroutines, 12us\nID STATE\n----  --\n 100 parked\n", "process 7: 41 coroutines, 0ns\n ID  STATE\n--- ---\n7 parked"):
            self.assertTrue(document.fits(shown, output), output)
        for output in ("", "process 7: 41 coroutines, 12us\n", "process x: 3 coroutines, 1ms\nID STATE\n-- --\n1 parked\n",
                       "process 7: 3 coroutines, 12us\nID STATE\n-- --\n1 running\n", "process 7: 3 coroutines, 1s\nID STATE\n-- --\n1 parked\n2 parked\n"):
            self.assertFalse(document.fits(shown, output), output)

    def test_elided(self):
        shown = ["first", "...", "last 3"]
        self.assertTrue(document.fits(shown, "first\nlast 1\n"))
        self.assertTrue(document.fits(shown, "first\nand\nmore\nlast 1\n"))
        self.assertFalse(document.fits(shown, "first\nlast 1\nmore\n"))
        self.assertTrue(document.fits_begin(["first"], "first\nmore\n"))
        self.assertFalse(document.fits_begin(["first"], "more\nfirst\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
