# SPDX-License-Identifier: Apache-2.0
"""What the tests of an installed weft share: an installation, below / or in a root of its own, and what has to work with it.

Each use is a method, so that a tree made by `cmake --install`, one that was moved, and packages in another root are asked the same.
"""
import json
import os
import re
import signal
import socket
import subprocess

PATIENCE = 120
CONNECTIONS = 20


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "LD_", "PKG_CONFIG", "CMAKE", "MANPATH"))} | {"LC_ALL": "C.UTF-8"}


class Server:
    """server.c under a launcher, with connections that it has answered once."""

    def __init__(self, command, **how):
        how["env"] = how.get("env", clean_environment())
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
        said = self.process.stdout.readline()
        assert said.startswith("port "), (said, self.process.stderr.read())
        self.connections = [socket.create_connection(("127.0.0.1", int(said.split()[1])), PATIENCE) for _ in range(CONNECTIONS)]
        for number, connection in enumerate(self.connections):
            text = f"hello {number}".encode()
            connection.sendall(text)
            assert connection.recv(len(text), socket.MSG_WAITALL) == text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()

    def finish(self):
        """Ends the server; what it wrote to descriptor 2."""
        for connection in self.connections:
            connection.close()
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        except ValueError:  # called for the second time
            return ""
        assert self.process.returncode == 0, errors
        return errors


class Installation:
    """`enter`: what a command is put behind to be run where weft is; `prefix`: as seen from there; `server`: server.c, as seen from there."""

    def __init__(self, test, enter, prefix, libdir, server, version, environment=()):
        self.test, self.enter, self.prefix, self.libdir, self.server, self.version = test, list(enter), prefix, libdir, server, version
        self.environment = clean_environment() | dict(environment)
        self.weft = f"{prefix}/bin/weft"

    def run(self, *command, status=0, env=(), **how):
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, timeout=PATIENCE * 5, env=self.environment | dict(env), **how)
        self.test.assertEqual(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *words, env=()):
        return Server([*self.enter, self.weft, *words, "--", self.server], env=self.environment | dict(env))

    def counters(self, env=()):
        """Of the server in a run with its connections."""
        with self.start("--stats", env=env) as server:
            return {name: int(value) for name, value in re.findall(r"^weft: +(\w+) +(\d+)  ", server.finish(), re.M)}

    def coroutines(self, server):
        return json.loads(self.run(self.weft, "ps", str(server.process.pid), "--json"))["coroutines"]

    def check_launcher(self):
        self.test.assertEqual(self.run(self.weft, "--version"), f"weft {self.version}\n")
        self.test.assertIn(f"ok    library       {self.libdir}/libweft.so.0\n", self.run(self.weft, "check"))
        self.test.assertIn("server can be woven", self.run(self.weft, "check", self.server).splitlines()[0])

    def check_woven(self):
        """The server is a coroutine for each connection and one that takes them; without the library's doing the counters say so."""
        def woven(counters):
            return counters["coroutines_created"] == CONNECTIONS + 1 and counters["fallbacks"] == counters["threads_native"] == 0
        self.test.assertTrue(woven(self.counters()))
        self.test.assertFalse(woven(self.counters(env={"WEFT_DISABLE": "1"})))

    def check_inspector(self):
        with self.start() as server:
            waiting = [each for each in self.coroutines(server) if each["top"] and each["top"].startswith("serve")]
            self.test.assertEqual(len(waiting), CONNECTIONS)
            self.test.assertIn("take", self.run(self.weft, "bt", str(server.process.pid)))

    def check_dump(self):
        """The library finds the inspector, and the stacks come with the server's own words."""
        with self.start("--dump-signal=USR1") as server:
            server.process.send_signal(signal.SIGUSR1)
            dump = ""
            while f"{CONNECTIONS} coroutines" not in dump:
                line = server.process.stderr.readline()
                self.test.assertTrue(line, dump)
                dump += line
            self.test.assertNotIn("shows the stacks of all coroutines", dump)

    def check_manual(self, find="man"):
        """Every page is where man looks, and can be read."""
        pages = {"weft": "1", "weft-ps": "1", "weft-inspect": "1", "weft-limits": "7"}
        for page, section in pages.items():
            text = self.run(find, section, page)
            self.test.assertIn(page, text.replace("\u2010", "-"))

    def check_gdb(self, settings=()):
        """gdb loads its script by itself."""
        with self.start() as server:
            words = [word for each in settings for word in ("-iex", each)]
            seen = self.run("gdb", "-nx", "-q", "-batch", *words, "-p", str(server.process.pid), "-ex", "info coroutines")
            self.test.assertEqual(len(re.findall(r"\bserve\b", seen)), CONNECTIONS, seen)

    def check_linked(self, source, work, environment=()):
        """By pkg-config and by CMake, C and C++; each program finds the library by itself."""
        number = sum(int(part) * scale for part, scale in zip(self.version.split("."), (10000, 100, 1)))
        expected = f"compiled {self.version} {number}, runs {number}\n"
        flags = self.run("pkg-config", "--cflags", "--libs", "weft", env=environment).split()
        self.test.assertEqual(self.run("pkg-config", "--modversion", "weft", env=environment), f"{self.version}\n")
        # A directory that the compiler looks in anyway would change the order in which it does.
        if self.prefix == "/usr":
            self.test.assertEqual(flags, ["-lweft"])
        self.run("mkdir", "-p", work)
        self.run("cc", "-Wall", "-Werror", f"{source}/program.c", *flags, f"-Wl,-rpath,{self.libdir}", "-o", f"{work}/by_pkg_config")
        self.test.assertEqual(self.run(f"{work}/by_pkg_config"), expected)
        self.run("cmake", "-S", source, "-B", f"{work}/build", env=environment)
        self.run("cmake", "--build", f"{work}/build")
        for program in ("linked_c", "linked_cxx"):
            self.test.assertEqual(self.run(f"{work}/build/{program}"), expected)
        # What the program needs of the library has the library's version on it.
        self.test.assertIn(" weft_version@WEFT_0.1", self.run("readelf", "--dyn-syms", "-W", f"{work}/build/linked_c"))
