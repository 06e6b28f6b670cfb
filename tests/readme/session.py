# SPDX-License-Identifier: Apache-2.0
"""One bash that does README's commands one after another, as a reader's does: `$!`, `cd` and open descriptors stay.

What each command writes, and what goes on writing behind its back, is in a file of its own. Waits end when what is waited for is seen.
"""
import json
import os
import re
import subprocess
import tempfile
import time

import document

PATIENCE = 120
# Nothing that they look at is changed by these, so they are done again until they show what is on its way.
LOOK = re.compile(r"(?:build/release/)?weft (?:ps|bt|top|lint|stat)\b")
BASH = r"""
while IFS= read -r -d '' number <&198 && IFS= read -r -d '' command <&198; do
  eval "$command" >"$1/$number" 2>&1 </dev/null 198<&- 199>&-
  printf '%s %s\n' $? "$!" >&199
done
"""
LISTENING = "0A"


class Session:
    """`enter`: how to get where it is to run; `place`: the directory it begins in; `shared`: this machine's name of /mnt there."""

    def __init__(self, enter, place, shared, environment=()):
        self.enter, self.place = enter, place
        self.directory = tempfile.mkdtemp(prefix="said-", dir=shared)
        self.count, self.job, self.said = 0, "", ""
        self.jobs = set()
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        # Python says at once what it says, as it does to a terminal.
        words = {"PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "TERM": "dumb"} | dict(environment)
        moved = f"exec 198<&{commands} 199>&{answers} {commands}<&- {answers}>&-; cd '{place}'\n"
        self.bash = subprocess.Popen([*enter, "env", *(f"{name}={value}" for name, value in words.items()), "bash", "-c", moved + BASH, "bash",
                                      f"/mnt/{os.path.basename(self.directory)}"],
                                     pass_fds=(commands, answers), cwd="/", stdin=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.reader = os.fdopen(self.answers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing that it started is left."""
        self.inside("kill", "-KILL", *self.jobs)
        os.close(self.commands)
        self.reader.close()
        self.bash.wait()

    def output(self):
        """With the names of the tree's files as they are from its top."""
        with open(self.said, encoding="utf-8", errors="replace") as file:
            return file.read().replace(f"{self.place}/", "")

    def do(self, text):
        """Its exit status; what it says is output()."""
        self.count += 1
        self.said = f"{self.directory}/{self.count}"
        os.write(self.commands, f"{self.count}\0{text}\0".encode())
        status, self.job = self.reader.readline().rstrip("\n").split(" ")
        self.jobs |= {self.job} - {""}
        return int(status)

    def inside(self, *command):
        """Done beside the session, where it is."""
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, cwd="/")

    def listening(self):
        """Addresses of this network that somebody listens at."""
        return set(re.findall(rf"^ *\d+: (\S+) \S+ {LISTENING} ", self.inside("cat", "/proc/net/tcp").stdout, re.M))

    def alive(self):
        return self.inside("sh", "-c", f"kill -0 {self.job}").returncode == 0

    def run(self, command, status):
        """What is wrong with what came of it; None: it is as README says."""
        before = self.listening() if command.background else set()
        until = time.monotonic() + PATIENCE
        while True:
            got = self.do(command.text)
            while command.background and got == 0 and time.monotonic() < until and not self.begun(command, before):
                if not self.alive():
                    return f"ended at once\n{self.output()}"
            good = got == status and (document.fits_begin if command.background else document.fits)(command.output, self.output())
            if good or not LOOK.match(command.text) or time.monotonic() > until:
                break
        if good:
            return None
        return f"exit status {got}, not {status}\n{self.output()}" if got != status else f"said\n{self.output()}\nand not\n" + "\n".join(command.output)

    def begun(self, command, before):
        """A server has said what README shows, or listens where nobody did."""
        if command.output:
            return document.fits_begin(command.output, self.output())
        return self.listening() - before != set()

    def counters(self, pid):
        """Of one of its jobs, as the inspector sees them; None: it has none."""
        done = self.inside("weft", "stat", pid, "--json")
        return json.loads(done.stdout)["counters"] if done.returncode == 0 else None


def woven(counters):
    """The job's threads are coroutines, all of them."""
    return bool(counters) and counters["coroutines_created"] > 0 and counters["fallbacks"] == counters["threads_native"] == 0
