# SPDX-License-Identifier: Apache-2.0
"""The command line and the variables of the launcher: help, options, every misuse of them."""
import os
import subprocess

import launcher
from launcher import LauncherTest, option_list

GOLDEN = os.path.join(os.path.dirname(__file__), "help.golden")

# For each kind: a value that is right, and wrong ones with a word of the message each.
RIGHT = {"count": "3", "bytes": "256K", "yesno": "no", "file_way": "region", "guard_way": "mprotect", "names": "one,t*o", "chaos": "7", "log": "debug", "stats": "1",
         "dump-signal": "USR1"}
WRONG = {
    "count": ["", "x", "-1", "+1", " 1", "1 ", "4k", "0x4", "1.5", "99999999999999999999", "1000001"],
    "bytes": ["", "x", "K", "-1K", "1T", "1KB", "1 K", "99999999999999999999", "1025G", "18446744073709551615G"],
    "yesno": ["", "y", "1", "YES", "yes "],
    "file_way": ["", "Uring", "yes", "uring,region", "auto ", "uring|region", "mprotect"],
    "guard_way": ["", "MPROTECT", "install", "auto|mprotect", "region"],
    "names": ["", ",", "a,", ",a", "a,,b"],
    "chaos": ["", "x", "1x", "4:", ":file", "-1"],
    "log": ["", "loud", "warn:", ":file", "warning", "WARN"],
    "stats": [""],
    "dump-signal": ["", "USR3", "usr1", "sigusr1", "SIGSIGUSR1", "10x", "0", "65", "-1", "KILL", "SIGSTOP", "9", "SEGV", "TERM", "INT", "1",
                    "BUS", "8", "32", "33", "RTMIN+1"],
}


def kind_of(option):
    name, _, kind, *_ = option
    return name if kind == "text" else kind


class Help(LauncherTest):
    def test_help_is_golden(self):
        result = self.run_weft("--help")
        with open(GOLDEN, encoding="utf-8") as file:
            self.assertEqual(result.stdout, file.read())
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for words in (["run", "--help"], ["-h"], ["check", "--help"], ["--workers", "2", "--help"]):
            self.assertEqual(self.run_weft(*words).stdout, result.stdout)

    def test_help_fits_a_terminal(self):
        for line in self.run_weft("--help").stdout.splitlines():
            self.assertLessEqual(len(line), 80, line)
            self.assertTrue(line.isascii(), line)

    def test_help_has_every_option(self):
        words = " ".join(self.run_weft("--help").stdout.split())
        for name, variable, _, default, meta, text in option_list():
            value = "" if meta == "" else f"[={meta[1:]}" if meta[0] == "[" else f"={meta}"
            self.assertIn(f" --{name}{value} {variable}", words)
            self.assertIn(f"({default or 'not set'}) {' '.join(text.split())}", words)

    def test_manual_page_has_every_option(self):
        with open(os.path.join(launcher.SOURCE, "tools", "weft.1"), encoding="utf-8") as file:
            page = file.read().replace("\\-", "-").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "")
        options = page[page.index(".SH OPTIONS"):page.index(".SH ENVIRONMENT")]
        for name, variable, kind, default, meta, text in option_list():
            value = "" if meta == "" else f"[={meta[1:]}" if meta[0] == "[" else f"={meta}"
            one = " (1)" if kind == "flag" else ""
            self.assertIn(f".TP\n--{name}{value}\n{text[0].upper()}{text[1:]}.\n.br\nVariable {variable}{one}, default "
                          f"{default or 'not set'}.\n", options)
        self.assertEqual(options.count("\nVariable "), len(option_list()))

    def test_manual_page_is_clean_roff(self):
        page = os.path.join(launcher.SOURCE, "tools", "weft.1")
        try:
            result = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z", page], capture_output=True, text=True)
        except FileNotFoundError:
            self.skipTest("groff is not here")
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_version(self):
        for word in ("--version", "-V"):
            result = self.run_weft(word)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"^weft \d+\.\d+\.\d+\n$")

    def test_full_disk(self):
        for word in ("--help", "--version", "check"):
            with open("/dev/full", "w", encoding="ascii") as full:
                environment = launcher.own_environment()
                result = subprocess.run([self.weft, word], stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
            self.assertEqual(result.returncode, 125)
            self.assertEqual(result.stderr, "weft: cannot write to standard output: No space left on device.\n")


class Options(LauncherTest):
    def test_option_equals_variable(self):
        for option in option_list():
            name, variable, kind = option[:3]
            with self.subTest(name):
                value = "1" if kind == "flag" else RIGHT[kind_of(option)]
                by_variable = self.shown(self.run_weft(self.show, env={variable: value}))
                words = [f"--{name}"] if kind == "flag" else [f"--{name}={value}"]
                by_option = self.shown(self.run_weft(*words, self.show))
                self.assertEqual(by_option.pop("WEFT_ROOT").isdigit(), True)
                by_variable.pop("WEFT_ROOT")
                self.assertEqual(by_option, by_variable)
                self.assertEqual(by_option[variable], value)

    def test_value_as_a_word_of_its_own(self):
        for option in option_list():
            name, variable, kind, _, meta, _ = option
            if kind == "flag" or meta.startswith("["):
                continue
            value = RIGHT[kind_of(option)]
            self.assertEqual(self.shown(self.run_weft(f"--{name}", value, self.show))[variable], value)

    def test_option_overrides_variable_and_the_last_one_counts(self):
        result = self.run_weft("--workers=2", "--workers=5", self.show, env={"WEFT_WORKERS": "7"})
        self.assertEqual(self.shown(result)["WEFT_WORKERS"], "5")

    def test_lists_are_joined(self):
        result = self.run_weft("--exclude=a", "--exclude", "b,c", self.show, env={"WEFT_EXCLUDE": "z"})
        self.assertEqual(self.shown(result)["WEFT_EXCLUDE"], "a,b,c")

    def test_sizes(self):
        for value in ("0", "65536", "64K", "64k", "1M", "1g", "1024G"):
            self.assertEqual(self.shown(self.run_weft("--stack", value, self.show))["WEFT_STACK"], value)

    def test_paths_become_absolute(self):
        shown = self.shown(self.run_weft("--stats=table", "--log=warn:a:b", self.show))
        self.assertEqual(shown["WEFT_STATS"], f"{self.work}/table")
        self.assertEqual(shown["WEFT_LOG"], f"warn:{self.work}/a:b")
        self.assertEqual(self.shown(self.run_weft("--chaos=12:a", self.show))["WEFT_CHAOS"], f"12:{self.work}/a")
        shown = self.shown(self.run_weft("--stats=/dev/full", "--log=info:/x", self.show))
        self.assertEqual(shown["WEFT_STATS"], "/dev/full")
        self.assertEqual(shown["WEFT_LOG"], "info:/x")

    def test_optional_value_takes_no_word(self):
        result = self.run_weft("--stats", self.show, "more")
        self.assertEqual(self.shown(result)["WEFT_STATS"], "1")
        self.assertEqual(self.arguments_shown(result), [self.show, "more"])

    def test_wrong_values(self):
        for option in option_list():
            for value in WRONG.get(kind_of(option), []):
                with self.subTest(option=option[0], value=value):
                    shown = value.split(":")[0] if option[0] == "log" and not value.endswith(":") else value
                    self.assert_one_line(self.run_weft(f"--{option[0]}={value}", self.show), 125, f"--{option[0]}: '{shown}' ")

    def test_wrong_level_names_the_nearest(self):
        self.assert_one_line(self.run_weft("--log=wran:x", self.show), 125, "'wran'", "did you mean 'warn'?")

    def test_wrong_word_of_a_few_names_the_nearest(self):
        self.assert_one_line(self.run_weft("--guards=mprotct", self.show), 125, "is none of auto|mprotect; did you mean 'mprotect'?")
        self.assert_one_line(self.run_weft("--files=urign", self.show), 125, "is none of uring|region|auto; did you mean 'uring'?")

    def test_dump_signal(self):
        for value in ("USR1", "SIGUSR2", "QUIT", "12", "34", "64"):
            self.assertEqual(self.shown(self.run_weft(f"--dump-signal={value}", self.show))["WEFT_DUMP_SIGNAL"], value)
        for value, words in (("USR3", "is no signal, like USR1; did you mean 'USR1'?"), ("usr2", "did you mean 'USR2'?"),
                             ("SIGQIUT", "did you mean 'QUIT'?"), ("frobnicate", "is no signal, like USR1. See"),
                             ("0", "is no signal's number: 1 to 64"), ("65", "is no signal's number: 1 to 64"),
                             ("KILL", "no process can handle"), ("SIGTERM", "weft handles for other ends"), ("7", "signal of a fault"),
                             ("33", "keeps for itself")):
            self.assert_one_line(self.run_weft(f"--dump-signal={value}", self.show), 125, f"--dump-signal: '{value}' ", words)

    def test_unknown_options_name_the_nearest(self):
        for wrong, right in (("wokers", "workers"), ("worker", "workers"), ("Workers", "workers"), ("stak", "stack"),
                             ("max_carriers", "max-carriers"), ("stat", "stats"), ("exlude=x", "exclude"), ("hlep", "help"), ("lgo", "log"),
                             ("if-posible", "if-possible"), ("native-thread=x", "native-threads")):
            result = self.run_weft(f"--{wrong}", self.show)
            self.assert_one_line(result, 125, f"unknown option --{wrong.split('=')[0]}. Did you mean --{right}?")

    def test_unknown_options_far_from_all(self):
        self.assert_one_line(self.run_weft("--frobnicate", self.show), 125, "unknown option --frobnicate.", "weft --help")
        self.assert_one_line(self.run_weft("-x", self.show), 125, "unknown option -x.", "weft --help")

    def test_beginnings_of_names_are_no_options(self):
        for beginning in ("work", "wor", "if", "v"):
            self.assert_one_line(self.run_weft(f"--{beginning}", "2", self.show), 125, f"unknown option --{beginning}.")

    def test_value_missing_or_too_many(self):
        self.assert_one_line(self.run_weft("--workers"), 125, "--workers needs a value")
        self.assert_one_line(self.run_weft("--disable=1", self.show), 125, "--disable takes no value")
        self.assert_one_line(self.run_weft("--if-possible=yes", self.show), 125, "--if-possible takes no value")

    def test_no_program(self):
        for words in ([], ["run"], ["--"], ["run", "--"], ["--workers", "2"]):
            self.assert_one_line(self.run_weft(*words), 125, "no program is named", "weft --help")

    def test_control_characters_keep_the_line_one(self):
        self.assert_one_line(self.run_weft("./a\nb\x1b[1m"), 127, "./a?b?[1m")


class Words(LauncherTest):
    """Which word is the command, which the program, and where options end."""

    def path(self, *names):
        for name in names:
            os.symlink(self.show, os.path.join(self.work, name))
        return {"PATH": f"{self.work}:/usr/bin:/bin"}

    def test_program_and_arguments(self):
        for words in ([], ["run"], ["--"], ["run", "--"], ["--workers=2"], ["run", "--workers", "2", "--"]):
            result = self.run_weft(*words, self.show, "--port", "80", "--", "-x", "--help", "")
            self.assertEqual(self.arguments_shown(result), [self.show, "--port", "80", "--", "-x", "--help", ""])

    def test_programs_with_the_name_of_a_command(self):
        for name in ("top", "check", "run", "ps"):
            env = self.path(name)
            for words in (["run", name], ["--", name], ["run", "--", name], ["--workers", "2", name]):
                result = self.run_weft(*words, "x", env=env)
                self.assertEqual(self.arguments_shown(result), [name, "x"])

    def test_command_in_the_wrong_place(self):
        env = {"PATH": self.work}
        self.assert_one_line(self.run_weft("--workers", "2", "lint", "1", env=env), 127, "put it first: weft lint")
        self.assertNotIn("put it first", self.run_weft("--", "lint", "1", env=env).stderr)

    def test_program_that_begins_with_a_dash(self):
        self.assertEqual(self.arguments_shown(self.run_weft("--", "-odd", env=self.path("-odd"))), ["-odd"])

    def test_inspector_is_missing(self):
        for name in ("ps", "bt", "top", "lint", "flame", "snap", "diff", "stat", "trace"):
            result = self.run_weft(name, "1", env=self.path(name))
            self.assert_one_line(result, 125, f"weft {name} needs weft-inspect", self.bin, f"weft run {name}")

    def test_inspector_gets_the_words(self):
        directory = os.path.join(self.work, "with")
        os.mkdir(directory)
        os.link(self.weft, os.path.join(directory, "weft"))
        os.symlink(self.show, os.path.join(directory, "weft-inspect"))
        result = self.run_weft("bt", "12", "--each", weft=f"{directory}/weft")
        self.assertEqual(self.arguments_shown(result), [f"{directory}/weft-inspect", "bt", "12", "--each"])
        self.assertEqual(self.marks(), [])

    def test_inspector_cannot_be_executed(self):
        directory = os.path.join(self.work, "with")
        os.mkdir(directory)
        os.link(self.weft, os.path.join(directory, "weft"))
        self.write("with/weft-inspect", "no program", 0o644)
        self.assert_one_line(self.run_weft("bt", "12", weft=f"{directory}/weft"), 125, "Permission denied")


class Variables(LauncherTest):
    def test_unknown_variables_name_the_nearest(self):
        for wrong, right in (("WEFT_WOKERS", "WEFT_WORKERS"), ("WEFT_MAX_CARRIER", "WEFT_MAX_CARRIERS"),
                             ("WEFT_stack", "WEFT_STACK"), ("WEFT_STAT", "WEFT_STATS")):
            result = self.run_weft(self.show, env={wrong: "1"})
            self.assert_one_line(result, 0, f"{wrong} is no variable of weft's", f"Did you mean {right}?")
            self.assertEqual(self.marks(), ["show"])

    def test_unknown_variable_far_from_all(self):
        self.assert_one_line(self.run_weft(self.show, env={"WEFT_FROBNICATE": "1"}), 0, "WEFT_FROBNICATE", "weft --help")

    def test_one_line_for_each(self):
        result = self.run_weft(self.show, env={"WEFT_WOKERS": "1", "WEFT_STAK": "1", "WEFTY": "1"})
        self.assertEqual(len(result.stderr.splitlines()), 2)

    def test_known_variables_are_silent(self):
        for option in option_list():
            value = "1" if option[2] == "flag" else RIGHT[kind_of(option)]
            self.assert_woven(self.run_weft(self.show, env={option[1]: value}))
        for internal in ("WEFT_ROOT", "WEFT_CHAOS"):
            self.assert_woven(self.run_weft(self.show, env={internal: "1"}))


if __name__ == "__main__":
    launcher.main()
