# SPDX-License-Identifier: Apache-2.0
"""Programs without threads, which weft must leave as they are: python, bash, and gcc, down to building weft itself."""

import os

from rig.cases import case
from rig import recipes
from rig.process import Site

UNTOUCHED = {'coroutines_created': 0, 'carriers_created': 0}
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')

PYTHON_SCRIPT = '''
import os, pickle, select, signal, socket, subprocess, sys, tempfile, time
a, b = socket.socketpair()
a.send(b'first'); print(b.recv(100))
b.setblocking(False)
try: b.recv(1)
except BlockingIOError as e: print(e.errno)
print(select.select([b], [a], [], 0.01)[1] == [a])
poll = select.poll(); poll.register(b, select.POLLIN); print(poll.poll(10))
a.send(b'x'); print([event for _, event in poll.poll(1000)])
a.settimeout(0.05)
try: a.recv(1)
except TimeoutError: print('timeout')
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    time.sleep(0.02); os.write(w, b'from the child'); os._exit(7)
print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(subprocess.run(['/bin/sh', '-c', 'read a; echo got $a; exit 3'], input=b'word', capture_output=True))
signal.signal(signal.SIGALRM, lambda *_: print('alarm'))
signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause()
with tempfile.TemporaryFile() as f:
    pickle.dump(list(range(100000)), f); f.seek(0); print(sum(pickle.load(f)))
print(sorted(os.listdir('/proc/self/fd')) == sorted(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task')))
print(sum(i * i for i in range(300000)))
sys.exit(5)
'''

BASH_SCRIPT = '''
set -o pipefail
trap 'echo trapped' USR1
kill -USR1 $$
seq 1 2000 | sort -rn | awk '{s += $1} END {print s}'
diff <(printf 'a\\nb\\n') <(printf 'a\\nc\\n'); echo "diff $?"
(exit 3) & wait $!; echo "wait $?"
for i in 1 2 3; do (read -r line; echo "$i $line" ) <<< "line $i"; done
read -t 0.05 nothing < <(exec tail -f /dev/null); echo "read $(( $? > 128 ))"
coproc doubler { while read -r n; do echo $((n * 2)); done; }
echo 21 >&"${doubler[1]}"; read -r answer <&"${doubler[0]}"; echo "$answer"
kill "$doubler_PID"; wait "$doubler_PID" 2>/dev/null; echo "coproc $?"
out=$(cat <<< "substituted" | tr a-z A-Z); echo "$out"
ulimit -n; umask; exec 9>&1; echo nine >&9; exec 9>&-
false | true; echo "pipefail $?"
timeout 0.1 sleep 10; echo "timeout $?"
exit 4
'''

CXX_SOURCE = '''
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>
template <int N> struct Tower { static long up(std::map<std::string, std::vector<long>>& m) {
  m[std::to_string(N)].push_back(N); return N + Tower<N - 1>::up(m); } };
template <> struct Tower<0> { static long up(std::map<std::string, std::vector<long>>&) { return 0; } };
int main() {
  std::map<std::string, std::vector<long>> m;
  std::regex r("(a|b)*c");
  std::thread t([&] { std::cout << Tower<150>::up(m) << std::regex_match("ababc", r) << std::endl; });
  t.join();
  return static_cast<int>(m.size()) - 150;
}
'''


def same_outcome(test, argv_of):
    """Runs a command in each mode; output, complaints and exit status must be native's, and weft must not have begun."""
    native = {}
    for mode in test.modes():
        with Site() as site:
            done = site.run(argv_of(site), mode)
            outcome = (done.status, done.out().replace(site.directory, ''), done.err().replace(site.directory, ''))
            test.expect_same(outcome, native.setdefault('outcome', outcome), 'status and output')
            test.expect_quiet_tree(done, **UNTOUCHED)
    test.note(f'status {native["outcome"][0]}, {len(native["outcome"][1])} bytes of output')
    return native['outcome']


@case('python')
def python(test):
    status, out, err = same_outcome(test, lambda site: [recipes.PYTHON, site.write('script.py', PYTHON_SCRIPT)])
    test.expect_same((status, err), (5, ''), 'natively')
    test.expect('alarm' in out and 'from the child' in out, f'natively: {out}')


@case('bash')
def bash(test):
    status, out, _ = same_outcome(test, lambda site: ['bash', site.write('script.sh', BASH_SCRIPT)])
    test.expect(status == 4 and 'trapped' in out and '2001000' in out and 'timeout 124' in out, f'natively: {out}')


@case('gcc')
def gcc(test):
    """The object file must be the same byte for byte, and the program it makes must run the same."""
    objects = {}
    for mode in test.modes():
        with Site() as site:
            source = site.write('tower.cc', CXX_SOURCE)
            # The object holds no path, so that two directories give the same bytes.
            built = site.run(['g++', '-O1', '-pipe', '-c', '-o', 'tower.o', os.path.basename(source)], mode, seconds=120,
                             cwd=site.directory)
            test.expect_same((built.status, built.err()), (0, ''), 'compiling')
            test.expect_quiet_tree(built, **UNTOUCHED)
            with open(site.path('tower.o'), 'rb') as file:
                content = file.read()
            test.expect(content == objects.setdefault('native', content), 'the object file differs from the native one')
            linked = site.run(['g++', '-o', 'tower', 'tower.o'], mode, cwd=site.directory)
            test.expect_same(linked.status, 0, f'linking: {linked.err()[-300:]}')
            ran = site.run([site.path('tower')], mode)
            test.expect_same((ran.status, ran.out()), (0, '113251\n'), 'the program that was built')
            test.expect_counters(ran, at_least={'coroutines_created': 1})


@case('gcc_builds_weft')
def gcc_builds_weft(test):
    """cmake, make and gcc build the library under weft; it must be the native one byte for byte."""
    libraries = {}
    for mode in test.modes():
        with Site() as site:
            build = site.path('build')
            make = ['sh', '-c', f'cmake -S {os.path.abspath(SOURCE)} -B {build} -DCMAKE_BUILD_TYPE=Release '
                    '-DWEFT_TESTS=OFF -DWEFT_BENCH=OFF -DCMAKE_CXX_FLAGS=-ffile-prefix-map=' + build + '=. '
                    f'-DCMAKE_C_FLAGS=-ffile-prefix-map={build}=. > cmake.log && make -j2 -C {build} > make.log']
            built = site.run(make, mode, seconds=280, cwd=site.directory)
            test.expect_same(built.status, 0, f'building: {built.err()[-500:]}')
            test.expect_quiet_tree(built)
            with open(os.path.join(build, 'libweft.so'), 'rb') as file:
                content = file.read()
            test.expect(content == libraries.setdefault('native', content), 'the library differs from the native one')
