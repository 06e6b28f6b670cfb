# SPDX-License-Identifier: Apache-2.0
"""The drop-in of tools/examples/systemd puts a real service under weft: a systemd of its own, in namespaces and on a layer over this system,
runs a service of Type=notify natively, with the drop-in, through the launcher, and with the sandboxing that README.md there names.

Environment: INSTALL_BUILD, INSTALL_CMAKE, INSTALL_NOTIFYING (notifying.c as a program).
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from installation import clean_environment
from roots import LayeredRoot, reason_against

BUILD = os.environ["INSTALL_BUILD"]
SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
EXAMPLE = os.path.join(SOURCE, "tools", "examples", "systemd", "weft.conf")
SYSTEMD = "/lib/systemd/systemd"
PATIENCE = 180
THREADS = 41  # of notifying.c

UNIT = """[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart={program}
# Reached only by a service that has said that it is ready.
ExecStartPost=/bin/sh -c 'echo ready >/mnt/%N.ready'
StandardOutput=append:/mnt/%N.log
StandardError=append:/mnt/%N.log
Environment=WEFT_STATS=/mnt/%N.stats
TimeoutSec=60
"""
SANDBOX = """[Service]
User=daemon
NoNewPrivileges=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectControlGroups=yes
ReadWritePaths=/mnt
LimitNOFILE=128
LimitCORE=infinity
TasksMax=16
"""
# Starts each service and stops it again, with what systemd says of it then; the end of this one is the end of the system.
DRIVER = """#!/bin/sh
for service in {services}; do
  systemctl start $service
  systemctl stop $service
  systemctl show -p Result -p ExecMainStatus -p NRestarts $service >/mnt/$service.result
done
systemctl --force exit
"""
BOOT = """
set -e
echo $$ >{group}/cgroup.procs
exec unshare --fork --pid --mount --cgroup --uts --ipc --kill-child sh -c '{within}'
"""
WITHIN = """
set -e
mount -t proc proc {root}/proc
mount -t tmpfs none {root}/sys/fs/cgroup && mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup
mount --bind {shared}/console {root}/dev/console
exec env -i container=weft PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot {root} {systemd} --system --unit=weft-test.service --log-target=console
"""


class SystemdTest(unittest.TestCase):

    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="weft-install-"))
        self.addCleanup(shutil.rmtree, self.work)

    @staticmethod
    def write(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def units(self, directory, launcher, library, program):
        """The services: name, and whether it is woven. One has the example's remarks in place of what it sets."""
        example = self.read(EXAMPLE)
        launched = re.sub(r"^#(?=ExecStart=)", "", example, flags=re.M).replace("Environment=LD_PRELOAD=libweft.so.0\n", "")
        example = example.replace("libweft.so.0", library)
        launched = launched.replace("/usr/sbin/server --its-own --options", program).replace("/usr/bin/weft", launcher)
        services = {"native": [], "dropped-in": [example], "launched": [launched], "sandboxed": [example, SANDBOX], "sandboxed-native": [SANDBOX]}
        for name, parts in services.items():
            self.write(f"{directory}/{name}.service", UNIT.format(program=program))
            for number, part in enumerate(parts):
                self.write(f"{directory}/{name}.service.d/{number}.conf", part)
        return {name: not name.endswith("native") for name in services}

    def test_verify(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not here")
        for name in self.units(self.work, "/bin/env", "/lib/libc.so.6", "/bin/true"):
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{self.work}/{name}.service"], capture_output=True, text=True)
            # Units of this system may have faults of their own.
            self.assertEqual((done.returncode, [line for line in done.stderr.splitlines() if self.work in line]), (0, []), name)

    def group(self):
        """A control group of the test's own, in which that systemd makes those of its units."""
        with open("/proc/self/mounts", encoding="utf-8") as file:
            trees = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
        group = f"{trees[0]}/weft-test-{os.getpid()}" if trees else ""
        try:
            os.mkdir(group)
        except OSError as error:
            self.skipTest(f"there is no control group for it here: {error}")
        self.addCleanup(lambda: [os.rmdir(place) for place, _, _ in os.walk(group, topdown=False)])
        return group

    def test_services(self):
        reason = reason_against()
        if reason or not os.path.exists(SYSTEMD):
            self.skipTest(reason or "systemd is not here")
        shared = f"{self.work}/shared"
        os.makedirs(shared)
        os.chmod(self.work, 0o755)
        os.chmod(shared, 0o777)
        shutil.copy(os.environ["INSTALL_NOTIFYING"], f"{shared}/notifying")
        open(f"{shared}/console", "w", encoding="ascii").close()
        root = LayeredRoot(self.work, shared)
        self.addCleanup(root.close)
        units = f"{self.work}/units"
        services = self.units(units, "/usr/local/bin/weft", "/usr/local/lib/libweft.so.0", "/mnt/notifying")
        self.write(f"{units}/weft-test.service", "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh /mnt/driver\n")
        self.write(f"{shared}/driver", DRIVER.format(services=" ".join(services)))
        for command in (["cp", "-r", f"{units}/.", f"{root.path}/etc/systemd/system"],
                        [os.environ["INSTALL_CMAKE"], "--install", BUILD, "--prefix", f"{root.path}/usr/local"]):
            subprocess.run([*root.enter_namespace, *command], check=True, stdout=subprocess.DEVNULL, env=clean_environment())
        boot = BOOT.format(group=self.group(), within=WITHIN.format(root=root.path, shared=shared, systemd=SYSTEMD))
        done = subprocess.run([*root.enter_namespace, "sh", "-c", boot], capture_output=True, text=True, timeout=PATIENCE)
        console = self.read(f"{shared}/console")[-3000:]
        if not os.path.exists(f"{shared}/native.result"):
            self.skipTest(f"no systemd could be started here: {done.stderr}{console}")
        for name, woven in services.items():
            with self.subTest(name):
                self.check(shared, name, woven, console)

    def check(self, shared, name, woven, console):
        said = self.read(f"{shared}/{name}.log")
        result = dict(line.split("=") for line in self.read(f"{shared}/{name}.result").split())
        self.assertEqual((result["Result"], result["ExecMainStatus"], said), ("success", "0", ""), console)
        self.assertTrue(os.path.exists(f"{shared}/{name}.ready"))
        self.assertEqual(os.path.exists(f"{shared}/{name}.stats"), woven)
        if woven:
            (block,) = re.findall(r"^weft stats pid=\d+ exe=notifying$(.*?)(?=^weft stats |\Z)", self.read(f"{shared}/{name}.stats"), re.M | re.S)
            counters = dict(re.findall(r"^(\w+) (\d+)$", block, re.M))
            self.assertEqual((counters["coroutines_created"], counters["threads_native"], counters["fallbacks"]), (str(THREADS), "0", "0"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
