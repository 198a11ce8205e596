# SPDX-License-Identifier: BSD-2-Clause
"""The ways to have less memory, and the steps."""

import contextlib
import os
import re
import tempfile
import time

STEPS = (100, 90, 75, 50, 25)  # per cent of the unlimited peak
SMALLEST_BUDGET = 8 << 20      # the setting `limit` takes no less


class Limit:
    """kind: none, as, data, cgroup, budget. conf: OOMRECLAIM_CONF of the library under it."""

    def __init__(self, kind="none", size=0, conf=""):
        self.kind, self.size, self.conf = kind, int(size), conf

    @contextlib.contextmanager
    def applied(self):
        """The words to put before a command."""
        if self.kind in ("as", "data"):
            # Before the program starts: an allocator may choose by it how it keeps memory.
            yield ["prlimit", f"--{self.kind}={self.size}", "--"]
        elif self.kind == "cgroup":
            with memory_cgroup(self.size) as path:
                yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', path]
        else:
            yield []


NO_LIMIT = Limit()

KINDS = {"as": "RLIMIT_AS", "data": "RLIMIT_DATA", "cgroup": "memory cgroup", "budget": "our budget"}

# What of an unlimited run each limits.
PEAK_OF = {"as": "address_peak_bytes", "data": "data_peak_bytes", "cgroup": "rss_peak_bytes",
           "budget": "data_peak_bytes"}


def make(kind, size):
    if kind == "budget":
        size = max(size, SMALLEST_BUDGET)
        return Limit(kind, size, f"limit:{int(size)}")
    # A cgroup refuses nothing: it kills. The library is told to stop in time.
    return Limit(kind, size, "limit:auto" if kind == "cgroup" else "")


def own_memory_cgroup():
    """The directory of our own group of version 1, or None."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            own = re.search(r"^\d+:(?:\w+,)*memory(?:,\w+)*:(.*)$", file.read(), re.M)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mount = re.search(r"^(?:\S+ ){4}(\S+) .* - cgroup .*\bmemory\b", file.read(), re.M)
    except OSError:
        return None
    if not own or not mount:
        return None
    path = mount.group(1) + own.group(1)
    return path if os.path.isdir(path) else mount.group(1)


def why_no_cgroup():
    """None if groups can be made."""
    if os.geteuid():
        return "not root"
    parent = own_memory_cgroup()
    if not parent:
        return "no memory cgroup of version 1"
    return None if os.access(parent, os.W_OK) else f"{parent} can't be written to"


@contextlib.contextmanager
def memory_cgroup(size):
    path = tempfile.mkdtemp(prefix="oomreclaim-bench-", dir=own_memory_cgroup())
    try:
        with open(path + "/memory.limit_in_bytes", "w", encoding="ascii") as file:
            file.write(str(int(size)))
        yield path
    finally:
        # Busy for a moment after its last process has ended.
        for _ in range(50):
            try:
                os.rmdir(path)
                break
            except OSError:
                time.sleep(0.02)


def ladder(kinds, cells, reference, steps=STEPS):
    """(kind, percent, Limit) of each step, by the peaks of an unlimited run; the same for all."""
    base = cells.get(reference, {})
    if base.get("status") != "ok":
        base = next((cell for cell in cells.values() if cell["status"] == "ok"), None)
    if not base:
        return []
    # Below a MiB is what a process has before it is its own.
    kinds = [kind for kind in kinds if base.get(PEAK_OF[kind], {"median": 0})["median"] >= 1 << 20]
    return [(kind, percent, make(kind, base[PEAK_OF[kind]]["median"] * percent / 100))
            for kind in kinds for percent in steps]
