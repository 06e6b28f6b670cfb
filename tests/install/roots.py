# SPDX-License-Identifier: Apache-2.0
"""Root directories to install packages in, without a trace on the machine: this system's with a layer on top that is thrown away, and a new
one with nothing in it but what a package's dependencies bring. Each lives in a mount namespace of its own; only root can make them.
"""
import os
import re
import stat
import subprocess

PATIENCE = 1200
# What belongs to the package manager's own books, caches and logs, and is no package's.
BOOKS = re.compile(r"^(var/lib/(dpkg|apt)/|var/log/|var/cache/(apt|man|ldconfig|debconf)/|etc/ld\.so\.cache$|(run|tmp|dev|proc|sys|mnt)/|etc/\.pwd\.lock$)")


class Root:
    """A root directory at `path`, as seen in its namespace; `shared` is a directory of this machine's that is its /mnt. `alone`: with
    processes and a loopback network of its own besides; `enter_networked` goes there with this machine's network.
    """

    MOUNTS = """
        {proc}
        mount --rbind /dev {root}/dev
        mount --rbind /sys {root}/sys
        mount -t tmpfs none {root}/run
        mount -t tmpfs none {root}/tmp
        mount --bind {shared} {root}/mnt
    """

    def __init__(self, before, root, shared, alone=False, after=""):
        proc = f"mount -t proc proc {root}/proc\nip link set lo up" if alone else f"mount --rbind /proc {root}/proc"
        script = "set -e\n" + before + self.MOUNTS.format(root=root, shared=shared, proc=proc) + after + "\necho ready\nexec cat"
        self.path = root
        namespaces = ["--mount", *(["--net", "--pid", "--fork"] if alone else [])]
        self.holder = subprocess.Popen(["unshare", *namespaces, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n", "no namespace of its own could be had"
        own = f"/proc/{self.holder.pid}/ns"
        self.enter_namespace = ["nsenter", f"--mount={own}/mnt", *([f"--pid={own}/pid_for_children"] if alone else [])]
        inside = ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        self.enter_networked = [*self.enter_namespace, *inside]
        self.enter = [*self.enter_namespace, *([f"--net={own}/net"] if alone else []), *inside]

    def close(self):
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait()

    def run(self, *command, status=0):
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, timeout=PATIENCE, cwd="/")
        if status is not None and done.returncode != status:
            raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def files(self, directory):
        """What is below a directory of the namespace, but for the books; directories with a slash behind them."""
        command = [*self.enter_namespace, "find", directory, "-xdev", "-mindepth", "1", "(", "-type", "d", "-printf", "%P/\\n", "-o", "-printf", "%P\\n", ")"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return {path for path in found if not BOOKS.match(path)}


class LayeredRoot(Root):
    """This system, with a layer on top. `tree`: a directory that is there too, wherever it lies, with a layer of its own."""

    def __init__(self, work, shared, alone=False, tree=None):
        self.layer = f"{work}/layer/up"
        root = f"{work}/layer/root"
        os.makedirs(f"{work}/layer")
        super().__init__(f"""
            mount -t tmpfs none {work}/layer
            mkdir {work}/layer/up {work}/layer/work {root}
            mount -t overlay none -o lowerdir=/,upperdir={work}/layer/up,workdir={work}/layer/work {root}
        """, root, shared, alone, "" if tree is None else f"""
            mkdir -p {root}{tree} {work}/layer/tree {work}/layer/tree-work
            mount -t overlay none -o lowerdir={tree},upperdir={work}/layer/tree,workdir={work}/layer/tree-work {root}{tree}
        """)

    def snapshot(self):
        """What is otherwise than in this system: directories that are in both say nothing."""
        return {path for path in self.files(self.layer) if not (path.endswith("/") and os.path.isdir(f"/{path}"))}


def debian_sources():
    """The entries of apt's own configuration for Debian itself, a line each."""
    form = "$(ORIGIN)\t$(SITE) $(RELEASE) $(COMPONENT)"
    lines = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], capture_output=True, text=True, check=True).stdout
    return sorted({"deb " + line.split("\t")[1] for line in lines.splitlines() if line.startswith("Debian\t")})


class NewRoot(Root):
    """A system that has just been made: what is essential, and apt. Asks the mirrors that this machine's apt has."""

    def __init__(self, work, shared, alone=False):
        root = f"{work}/new"
        with open("/etc/os-release", encoding="utf-8") as file:
            suite = re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.M)[1]
        settings = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout.splitlines()
        options = [f"--aptopt={line}" for line in settings if re.match(r"Acquire::https?::(Proxy|Verify|CaInfo)", line)]
        subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options, suite, root, "-"], check=True, text=True,
                       input="\n".join(debian_sources()) + "\n", timeout=PATIENCE)
        super().__init__("", root, shared, alone)
        subprocess.run([*self.enter_networked, "apt-get", "update", "-qq"], check=True, cwd="/", timeout=PATIENCE)

    def snapshot(self):
        return self.files(self.path)


def reason_against():
    """Why none of this can be done here; None: it can."""
    if os.getuid() != 0:
        return "only root can make a root directory"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        return "there are no mount namespaces here"
    if not os.path.exists("/var/lib/dpkg/status") or stat.S_ISLNK(os.lstat("/var/lib/dpkg").st_mode):
        return "this is no Debian"
    return None
