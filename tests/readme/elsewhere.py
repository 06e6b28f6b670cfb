# SPDX-License-Identifier: Apache-2.0
"""README's commands that readme.commands does not run as they stand, each with what runs it and why; and which do not end with status 0.

A line that README no longer has fails the test.
"""

# Run as it stands by another test: one that has a new root to install in, or the machine for itself.
BY_ANOTHER = {
    "tools/demo      # puts 1,000 connections on a real server, natively and woven": "readme.demo",
    "tests/install-packages build package": "readme.new",
    "cmake --preset package && cmake --build --preset package && cpack --preset package": "readme.new",
    "dpkg --install build/package/packages/*.deb": "readme.new",
    "dpkg --purge weft libweft-dev libweft0": "readme.new",
}

# Of README or bench/README.md, run by readme.benches with less to measure: (command, exit statuses that are right, what it says; None: the head
# of a table that stands there too). A figure that falls short there is none.
SMALLER = {
    "bench/echo --seconds 2 --runs 3": ("bench/echo --seconds 0.5 --runs 1 --connections 100", {0}, None),
    "bench/servers --runs 1 --seconds 2": ("bench/servers --runs 1 --seconds 0.5 --connections 100 --server tinyproxy", {0}, None),
    "bench/mariadb --runs 3 --seconds 3": ("bench/mariadb --runs 1 --seconds 1 --connections 16 --client native", {0}, None),
    "bench/micro": ("bench/micro --runs 1 --no-parked", {0}, None),
    "bench/inspect --runs 5 --seconds 2": ("bench/inspect --connections 100 --runs 1 --seconds 0.5", {0}, None),
    "bench/latency --seconds 1": ("bench/latency --connections 100 --runs 1 --seconds 0.5 alone", {0}, None),
    "bench/scale": ("bench/scale --threads 10000 --runs 1", {0}, None),
    "bench/inspector --rounds 20": ("bench/inspector --rounds 2 --coroutines 1000", {0}, None),
    "bench/explicit --runs 5": ("bench/explicit --runs 1 --leaves 10000", {0}, None),
    "bench/check": ("bench/check micro --runs 1", {0, 1}, r"^PASS .*\n"),
}

# (test of ctest that runs it, why it is not run as it stands); None: the whole suite, of which this test is part.
ELSEWHERE = {
    "tests/run       # runs the test suite": (None, "runs this test"),
    "tests/run -R '^real'": (None, "runs tests that are run anyway"),
    "tests/run -R '^unit'": (None, "runs tests that are run anyway"),
    "tests/run --full": (None, "runs this test"),
    "tests/run --glibc": (None, "half an hour, in roots of its own"),
    "tests/run --aarch64": (None, "a build of its own by a cross compiler"),
    "tests/mutations/run": ("mutations.rules", "half an hour"),
}

# Exit statuses that are not 0: lint has found what it is shown for.
STATUS = {
    "weft lint $!": 1,
}
