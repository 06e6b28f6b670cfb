# SPDX-License-Identifier: Apache-2.0
"""What the commands make of the waits of weft/co.h: their words, owners of its mutexes, and mailboxes that stay full."""
import woven


class ApiTest(woven.WovenTest):

    def parked(self, process):
        """The parked coroutines by their names, once all of them are."""
        def all_parked():
            answer = self.inspect_json("ps", process.pid)
            return answer["states"]["parked"] == len(answer["coroutines"]) and answer["coroutines"]

        # Children have their maker's name, and come after it.
        return {each["name"]: each for each in reversed(self.until(all_parked))}

    def lint(self, target, *flags):
        done = self.run_inspect("lint", target, "--json", *flags)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return self.checked(done.stdout)["findings"]

    def test_words(self):
        process = self.start("api", "waits")
        found = self.parked(process)
        wanted = ("suspend", "co_mutex", "co_rwlock read", "co_rwlock write", "group", "scope", "channel send", "channel receive", "select",
                  "mailbox receive")
        # Names are cut at 15 bytes.
        for word in wanted:
            self.assertEqual(found[word[:15]]["wait"]["kind"], word)
        self.assertEqual(found["co_mutex"]["wait"]["ownerTid"], process.pid)
        self.assertEqual(len(found["select"]["wait"]["fds"]), 1)
        self.assertEqual(found["mailbox receive"]["wait"]["objectName"], "empty")
        self.assertNotIn("object", found["suspend"]["wait"])
        text = self.inspect("ps", process.pid)
        self.assertRegex(text, rf"co_mutex 0x[0-9a-f]+ held by thread {process.pid}\b")
        self.assertRegex(text, r"mailbox receive 0x[0-9a-f]+ \(empty\)")
        self.assertRegex(text, r"select fd \d+ pipe")
        self.assertEqual(self.lint(process.pid), [])

    def test_deadlock_of_two_mutexes(self):
        process = self.start("api", "deadlock")

        def named():
            return self.lint(process.pid)

        functions = {"takes_first_then_second", "takes_second_then_first"}

        def check(findings):
            self.assertEqual([each["rule"] for each in findings], ["deadlock"])
            members = findings[0]["members"]
            self.assertEqual([member["heldBy"] for member in members], [members[1]["id"], members[0]["id"]])
            self.assertEqual({frame["function"] for member in members for frame in member["frames"]} & functions, functions)

        check(self.until(named))
        check(self.lint(self.kernel_core_of(process)))

    def test_mailbox_that_stays_full(self):
        process = self.start("api", "mailbox")
        self.parked(process)

        def named():
            return self.lint(process.pid, "--mailbox-full=10ms")

        def check(finding):
            self.assertEqual(finding["rule"], "overloaded-mailbox")
            self.assertIn("slow actor", finding["text"])
            figures = {each["name"]: each["value"] for each in finding["figures"]}
            self.assertEqual(figures["messages"], 4)
            self.assertEqual(figures["senders-waiting"], 3)
            self.assertGreaterEqual(figures["full-for"], 1e7)
            self.assertEqual({each["name"]: each["value"] for each in finding["thresholds"]}, {"full-for": 1e7})
            self.assertEqual(len(finding["members"]), 3)

        findings = self.until(named)
        self.assertEqual(len(findings), 1)
        check(findings[0])
        # Not as long as that.
        self.assertEqual(self.lint(process.pid, "--mailbox-full=1h"), [])
        # That somebody receives and another message is there at once does not make it less full.
        process.stdin.write(b"x")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"ready\n")
        check(self.until(named)[0])

        mailbox, = self.inspect_json("stat", process.pid)["mailboxes"]
        self.assertEqual((mailbox["name"], mailbox["messages"], mailbox["capacity"], mailbox["received"]), ("slow actor", 4, 4, 1))
        self.assertEqual((mailbox["refused"], mailbox["closed"]), (0, False))
        self.assertGreater(mailbox["fullSince"], 0)
        self.assertGreaterEqual(mailbox["waits"], 3)
        self.assertRegex(self.inspect("stat", process.pid),
                         r"(?m)^mailbox 0x[0-9a-f]+ slow actor: 4 of 4 messages, 1 received, \d+ sends waited, full for ")
        self.assertRegex(self.inspect("stat", process.pid, "--prom"), r'(?m)^weft_mailbox_messages\{mailbox="slow actor",address="0x[0-9a-f]+"\} 4$')
        # The runtime's clock in a core is that of its last look, which may be earlier: it is said less often then, never wrongly.
        for finding in self.lint(self.kernel_core_of(process), "--mailbox-full=10ms"):
            check(finding)


woven.main()
