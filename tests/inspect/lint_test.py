# SPDX-License-Identifier: Apache-2.0
"""weft lint on three classic bugs, each live, on the kernel's core and on gdb's, and its silence on a healthy program. Natively the
programs hang in the same way."""
import os
import re

import woven


FUTEX = "202"  # the system call, on x86-64
LOOKS = 20  # that find a thread where it was before it stands


def waits_of_threads(pid):
    """Of all but main: the system call each is in with its arguments, and how often it has slept."""
    found = {}
    for tid in set(os.listdir(f"/proc/{pid}/task")) - {str(pid)}:
        with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
            words = file.read().split()
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as file:
            slept = re.search(r"(?m)^voluntary_ctxt_switches:\s*(\d+)", file.read()).group(1)
        found[int(tid)] = (words[0], words[1:], slept)
    return found


class LintTest(woven.WovenTest):

    def findings(self, target, *flags, statuses=(0, 1)):
        """Live or not: the findings, which the exit status has to agree with."""
        done = self.run_inspect("lint", target, "--json", *flags)
        self.assertIn(done.returncode, statuses, done.stderr)
        answer = self.checked(done.stdout)
        self.assertEqual(answer["format"], "weft-inspect")
        self.assertEqual(done.returncode == 1, answer["findings"] != [])
        return answer["findings"]

    def expect_native_hang(self, program, *arguments, threads):
        """So many threads beside main, each in a futex for good: none runs from one look to the next, and the program has not ended."""
        process = self.start(program, *arguments, library=None)

        # One that was woken and has not run yet shows as running.
        def stand():
            looks = [waits_of_threads(process.pid) for _ in range(LOOKS)]
            return len(looks[0]) == threads and all(look == looks[0] for look in looks) and \
                all(call == FUTEX for call, _, _ in looks[0].values())

        self.until(stand)
        self.assertIsNone(process.poll())

    def check(self, program, rule, functions, *arguments):
        self.expect_native_hang(program, *arguments, threads=len(functions))
        process = self.start(program, *arguments)

        def named():
            return self.findings(process.pid)

        live = self.until(named)
        self.check_finding(live, rule, functions)
        text = self.inspect("lint", process.pid, status=1)
        for words in (rule + ": ", "  rule: ", "  figures: ", "  threshold: ", *functions):
            self.assertIn(words, text)
        with self.subTest("gcore"):
            another = self.start(program, *arguments, WEFT_GUARDS="mprotect")

            def there_too():
                return self.findings(another.pid)

            self.until(there_too)
            self.check_finding(self.findings(self.gcore_of(another)), rule, functions)
        with self.subTest("kernel core"):
            self.check_finding(self.findings(self.kernel_core_of(process)), rule, functions)

    def check_finding(self, findings, rule, functions):
        self.assertEqual([finding["rule"] for finding in findings], [rule])
        members = findings[0]["members"]
        self.assertEqual(len(members), len(functions))
        # Whom each waits for is the next: the circle.
        if rule == "deadlock":
            for member, after in zip(members, members[1:] + members[:1]):
                self.assertIn(after["id"], (member.get("heldBy"), member.get("joins")))
        for member in members:
            top = next(frame for frame in member["frames"] if re.search(r"inspect_\w+$", frame["module"]))
            self.assertRegex(top["file"], r"\.c$")
            self.assertGreater(top["line"], 0)
        seen = sorted(function for member in members for function in functions
                      if function in [frame["function"] for frame in member["frames"]])
        self.assertEqual(sorted(set(seen)), sorted(set(functions)))

    def test_deadlock_of_two_mutexes(self):
        self.check("abba", "deadlock", ["takes_first_then_second", "takes_second_then_first"])

    def test_lost_signal(self):
        self.check("lost_signal", "lost-signal", ["waits_too_late"])

    def test_ring_of_joins(self):
        self.check("join_ring", "deadlock", ["joins_the_next"] * 3)

    def test_two_that_join_each_other(self):
        self.check("join_ring", "deadlock", ["joins_the_next"] * 2, "2")

    def test_a_join_of_oneself_is_refused(self):
        counters = os.path.join(self.work, "counters")
        for library in (None, woven.LIBRARY):
            process = self.start("join_ring", "1", library=library, WEFT_STATS=counters)
            self.assertEqual(process.stdout.read(), b"EDEADLK\n")
            self.assertEqual(process.wait(woven.PATIENCE), 0)
            self.assertEqual(os.path.exists(counters), library is not None)
        with open(counters, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"(?m)^coroutines_created +1$")

    def small_fault(self, name, rule):
        process = self.start("small_faults", name)
        if name == "closed":
            def reading():
                return self.inspect_json("ps", process.pid)["states"]["parked"] == 1

            self.until(reading)
            self.assertEqual(self.findings(process.pid), [])
            process.stdin.write(b"x")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"ready\n")

        def named():
            return self.findings(process.pid)

        found = self.until(named)
        self.assertEqual([finding["rule"] for finding in found], [rule])
        return found[0]

    def test_closed_descriptor(self):
        self.assertEqual(self.small_fault("closed", "closed-fd")["figures"][0]["name"], "fd")

    def test_full_stack(self):
        finding = self.small_fault("stack", "stack-nearly-full")
        part = next(figure["value"] for figure in finding["figures"] if figure["name"] == "part")
        self.assertGreater(part, finding["thresholds"][0]["value"])

    def check_deep(self, target):
        findings = self.findings(target)
        self.assertEqual([finding["rule"] for finding in findings], ["stack-nearly-full"] * 10)
        finding = findings[0]
        self.assertRegex(finding["text"], r"has used [89]\d % of its stack")
        figures = {each["name"]: each["value"] for each in finding["figures"]}
        self.assertGreater(figures["used"], 224 << 10)
        self.assertLess(figures["used-now"], 32 << 10)
        listed = self.inspect_json("ps", target)["coroutines"][0]
        self.assertEqual((listed["stackHighWater"], listed["stackUsed"]), (figures["used"], figures["used-now"]))
        row = self.inspect("ps", target, "--columns", "stack,high_water,stack_size").splitlines()[-1].split()
        self.assertRegex(row[1], r"^2[23]\d\.\dK$")

    def test_stack_that_was_full_before(self):
        process = self.start("small_faults", "deep")

        def parked():
            return self.inspect_json("ps", process.pid)["states"]["parked"] == 10

        self.until(parked)
        snapshot = f"{self.work}/snapshot"
        self.check_deep(process.pid)
        self.inspect("snap", process.pid, "-o", snapshot)
        self.check_deep(snapshot)

        def given_back():
            return self.inspect_json("stat", process.pid)["counters"]["stacks_trimmed"] >= 10  # one that parked before, too

        # The runtime has taken the pages back and noted how many there were; so it is known from a core file, too.
        self.until(given_back)
        self.check_deep(process.pid)
        self.check_deep(self.kernel_core_of(process))

    def with_threshold(self, name, rule, flags, others, thresholds):
        """A program that is healthy by default and by `others`, and not by `flags`, which the finding names."""
        process = self.start("small_faults", name)
        self.assertEqual(self.findings(process.pid), [])
        self.assertEqual(self.findings(process.pid, *others), [])

        def named():
            return self.findings(process.pid, *flags)

        found = self.until(named)
        self.assertEqual([finding["rule"] for finding in found], [rule])
        self.assertEqual({each["name"]: each["value"] for each in found[0]["thresholds"]}, thresholds)
        text = self.inspect("lint", process.pid, *flags, status=1)
        self.assertRegex(text, rf"(?m)^  threshold: {next(iter(thresholds))} ")

    def test_threshold_of_threads_that_nobody_joins(self):
        self.with_threshold("unjoined", "never-joined", ["--unjoined=5", "--unjoined-age", "1ms"], ["--unjoined=6", "--unjoined-age=1ms"],
                            {"ended": 5, "age": 1e6})

    def test_threshold_of_threads_that_pile_up(self):
        self.with_threshold("piles", "piled-up", ["--piled-up=2", "--piled-up-age=1ms"], ["--piled-up=2", "--piled-up-age", "1h"],
                            {"waiting": 2, "waited": 1e6})

    def test_threshold_of_stacks(self):
        process = self.start("small_faults", "stack")

        def full():
            return self.findings(process.pid, "--stack", "50")

        found = self.until(full)
        self.assertEqual([(finding["rule"], finding["thresholds"][0]["value"]) for finding in found], [("stack-nearly-full", 50)])
        self.assertEqual(self.findings(process.pid, "--stack=95"), [])

    def test_looks_are_apart_as_a_threshold_needs(self):
        process = self.start("abba")

        def found():
            return self.findings(process.pid)

        self.until(found)
        for flags, least in ((["--starvation=1500ms"], 1.5e9), (["--interval=1200ms"], 1.2e9),
                             (["--interval=1ms", "--starvation=1ms"], 1e6)):
            figures = {each["name"]: each["value"] for each in self.findings(process.pid, *flags)[0]["figures"]}
            self.assertGreaterEqual(figures["unchanged-for"], least)

    def test_thresholds_that_are_none(self):
        for flag, value in (("--stack", "0"), ("--stack", "101"), ("--stack", "many"), ("--unjoined", "0"), ("--piled-up", "-1"),
                            ("--unjoined-age", "5"), ("--piled-up-age", "2d"), ("--starvation", "0s"), ("--interval", "x")):
            done = self.run_inspect("lint", "1", flag, value)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, f"^weft: {flag} takes a ")

    def test_lock_of_a_thread_that_has_ended(self):
        self.small_fault("orphan", "orphaned-lock")

    def test_healthy(self):
        process = self.start("healthy")
        for _ in range(5):
            self.assertEqual(self.findings(process.pid), [])
        self.assertIn("nothing found", self.inspect("lint", process.pid))
        self.assertEqual(self.findings(self.kernel_core_of(process)), [])

    def test_healthy_threads_that_wait(self):
        process = self.start("stacks")
        self.assertEqual(self.findings(process.pid), [])
        self.assertEqual(self.findings(self.kernel_core_of(process)), [])

    def test_a_stopped_process_is_not_starved(self):
        process = self.start("healthy")
        process.send_signal(woven.signal.SIGSTOP)
        answer = self.inspect_json("lint", process.pid)
        self.assertEqual(answer["findings"], [])
        left_out = {rule["name"]: rule["leftOut"] for rule in answer["rules"]}
        self.assertEqual(left_out["starvation"], "the process is stopped")


woven.main()
