# SPDX-License-Identifier: BSD-2-Clause
"""Runs one command under one allocator and one limit, and says what came of it."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

from limits import NO_LIMIT

WIDE_SPREAD = 0.20  # of the median, from the fastest run to the slowest
STDERR_KEPT = 400   # characters, from the end


class Allocator:
    """A name for tables, and what is preloaded for it."""

    def __init__(self, name, preload, package=None, env=None):
        self.name, self.preload, self.package = name, preload, package
        self.env = env or {}
        self.missing = None  # why it can't be used
        self.version = None

    def probe(self):
        """The loader runs a program without a library that it can't find: the figures would be glibc's."""
        if not self.preload:
            self.version = os.confstr("CS_GNU_LIBC_VERSION")
            return
        done = subprocess.run(["/bin/true"], env={"LD_PRELOAD": self.preload}, text=True,
                              stderr=subprocess.PIPE, check=False)
        if done.stderr or done.returncode:
            self.missing = f"{self.preload} is not installed"
            if self.package:
                self.missing += f" (Debian: {self.package})"
        elif self.package and shutil.which("dpkg-query"):
            self.version = subprocess.run(
                ["dpkg-query", "-W", "-f", "${Version}", self.package], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout or None

    def with_env(self, name, env):
        other = Allocator(name, self.preload, self.package, {**self.env, **env})
        other.missing, other.version = self.missing, self.version
        return other


def allocators(library):
    """Ours first, then the peer that ratios are taken to."""
    found = [Allocator("oomreclaim", os.path.realpath(library)),
             Allocator("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
             Allocator("glibc", ""),
             Allocator("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
             Allocator("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4")]
    for allocator in found:
        allocator.probe()
    return found


class Outcome(dict):
    """status: ok, refused (it ended, but allocations failed), failed (exit status), crashed (signal),
    hung (time limit), missing. detail: in words. What the run measured stands beside them."""

    @property
    def ok(self):
        return self["status"] == "ok"


def environment(allocator, limit):
    """Nothing of the caller's own settings of an allocator, but the rest of the environment."""
    ours = {"LD_PRELOAD", "MALLOC_CONF", "OOMRECLAIM_CONF", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    inner = dict(allocator.env)
    if allocator.preload:
        inner["LD_PRELOAD"] = allocator.preload
    if allocator.name == "oomreclaim" and limit.conf:
        inner["OOMRECLAIM_CONF"] = limit.conf
    return env, [f"{key}={value}" for key, value in inner.items()]


def read_peaks(pid, peaks):
    """The largest process of a tree. The kernel keeps the peaks, so only its last moment is missed."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            status = dict(re.findall(r"^(Vm\w+):\s+(\d+) kB", file.read(), re.M))
        children = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                children += file.read().split()
    except OSError:
        return
    if "VmPeak" in status:
        size = {key: int(value) << 10 for key, value in status.items()}
        now = {"rss_peak_bytes": size.get("VmHWM", 0), "address_peak_bytes": size["VmPeak"],
               "data_peak_bytes": size["VmPeak"] - size["VmSize"] + size["VmData"]}
        for key, value in now.items():
            peaks[key] = max(peaks.get(key, 0), value)
    for child in children:
        read_peaks(child, peaks)


def wait(process, seconds, watch):
    """Output and error output of a process, or None twice if it had to be killed."""
    peaks, deadline = {}, time.monotonic() + seconds
    while True:
        if watch:
            read_peaks(process.pid, peaks)
        left = deadline - time.monotonic()
        try:
            out, err = process.communicate(timeout=max(0.0, min(0.01, left) if watch else left))
            return out, err, peaks
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                # The session was made for it: its children go as well.
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return None, None, peaks


def run_once(command, allocator, limit=NO_LIMIT, seconds=120, watch=False):
    """watch: take the peaks from /proc, for a command that does not tell them itself."""
    if allocator.missing:
        return Outcome(status="missing", detail=allocator.missing)
    if not shutil.which(command[0]):
        return Outcome(status="missing", detail=f"no such command: {command[0]}")
    env, inner = environment(allocator, limit)
    started = time.monotonic()
    with limit.applied() as prefix:
        process = subprocess.Popen([*prefix, "env", *inner, *command], env=env, text=True,
                                   errors="replace", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        out, err, peaks = wait(process, seconds, watch)
    taken = time.monotonic() - started
    if out is None:
        return Outcome(status="hung", detail=f"no end within {seconds:g} s", seconds=taken)
    return judge(process.returncode, out, err, Outcome(seconds=taken, **peaks))


def judge(status, out, err, outcome):
    if err:
        outcome["stderr"] = err[-STDERR_KEPT:]
    if status < 0 or status > 128:  # a shell's way to tell of a signal, which env never is
        number = -status if status < 0 else status - 128
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        outcome.update(status="crashed", detail=f"killed by {name}")
    elif status:
        outcome.update(status="failed", detail=f"exit status {status}")
    else:
        outcome.update(status="ok", detail="")
        figures = last_json(out)
        outcome.update(figures)
        if figures.get("failed"):
            outcome.update(status="refused", detail=f"{figures['failed']} allocations failed")
    return outcome


def last_json(out):
    lines = out.strip().splitlines()
    try:
        figures = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return figures if isinstance(figures, dict) else {}


def summary(values):
    """Median and spread. None where there is nothing."""
    if not values:
        return None
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median if median else 0.0
    return {"median": median, "spread": round(spread, 4), "wide": spread > WIDE_SPREAD,
            "runs": values}


FIGURES = ("seconds", "rss_peak_bytes", "address_peak_bytes", "data_peak_bytes", "faults",
           "failed", "ops", "requests", "reclaimed_bytes")


def combine(outcomes):
    """Several runs of one thing as one: the first that was not ok tells how it went."""
    bad = [outcome for outcome in outcomes if not outcome.ok]
    first = bad[0] if bad else outcomes[0]
    cell = {"status": first["status"], "detail": first["detail"]}
    if first.get("stderr"):
        cell["stderr"] = first["stderr"]
    for key in FIGURES:
        values = [outcome[key] for outcome in outcomes if key in outcome]
        if values and first["status"] in ("ok", "refused"):
            cell[key] = summary(values)
    return cell


def interleave(command, chosen, limit=NO_LIMIT, rounds=3, seconds=120, watch=False, step=None,
               once_from=float("inf")):
    """A B C A B C: whatever else the machine does meets all alike. What has failed is not repeated, nor
    what took once_from seconds."""
    outcomes = {allocator.name: [] for allocator in chosen}
    for _ in range(rounds):
        for allocator in chosen:
            if step:
                step(allocator.name)
            past = outcomes[allocator.name]
            if not past or (past[-1]["status"] in ("ok", "refused")
                            and past[-1]["seconds"] < once_from):
                past.append(run_once(command, allocator, limit, seconds, watch))
    return {name: combine(runs) for name, runs in outcomes.items()}


def ratio(cells, name, key, to="jemalloc"):
    """None unless both have finished."""
    ours, theirs = (cells.get(which, {}) for which in (name, to))
    if ours.get("status") != "ok" or theirs.get("status") != "ok":
        return None
    if key not in ours or key not in theirs or not theirs[key]["median"]:
        return None
    return ours[key]["median"] / theirs[key]["median"]


class Progress:
    """One line on a terminal, with the time left; every tenth part elsewhere."""

    def __init__(self, total, out=sys.stderr):
        self.total, self.out, self.done, self.started = total, out, 0, time.monotonic()
        self.shown = -1

    def step(self, what):
        elapsed = time.monotonic() - self.started
        left = elapsed / self.done * max(0, self.total - self.done) if self.done else 0
        line = f"[{self.done + 1}/{self.total}] {int(left) // 60}:{int(left) % 60:02d} left  {what}"
        if self.out.isatty():
            self.out.write(f"\r{line[:99]:<99}")
        elif self.done * 10 // self.total > self.shown:
            self.shown = self.done * 10 // self.total
            self.out.write(line + "\n")
        self.out.flush()
        self.done += 1

    def end(self):
        if self.out.isatty():
            self.out.write("\r" + " " * 99 + "\r")
