# SPDX-License-Identifier: BSD-2-Clause
"""Runs one command under one allocator and one limit, and says what came of it."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time

import figures
import idle
from limits import NO_LIMIT

STDERR_KEPT = 400          # characters, from the end
SETTLE_SECONDS = 20        # for the machine to be idle before a run is repeated
LAUNCH = "bench/launch"    # below the build directory


class Outcome(dict):
    """status: ok, refused (it ended, but allocations failed), failed (exit status), crashed (signal),
    hung (time limit), missing. detail: in words. What the run measured stands beside them."""

    @property
    def ok(self):
        return self["status"] == "ok"


@dataclasses.dataclass
class Plan:
    """How a case is run."""
    launch: str                       # the program that starts commands and tells what they took
    rounds: int = 3
    warmup: int = 0                   # rounds before them, of which nothing is kept
    repeats: int = 0                  # of a run in which others took too much of the machine
    seconds: float = 120              # a run that takes longer hangs
    once_from: float = float("inf")   # what took so many seconds is not run again
    watch: bool = False               # take peaks from /proc: the command doesn't tell them itself
    until: float | None = None        # no round is begun behind it, but for the first
    prepare: str | None = None        # a shell's command before each run

    def but(self, **changes):
        return dataclasses.replace(self, **changes)


def find_launch(build):
    program = os.path.join(build, LAUNCH)
    if not os.access(program, os.X_OK):
        raise SystemExit(f"bench: {program} is not built: ninja -C {build}")
    return os.path.realpath(program)


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


def usage(pipe):
    """What `launch` wrote. Nothing if it was killed."""
    with os.fdopen(pipe, encoding="ascii") as file:
        line = file.read()
    taken = json.loads(line) if line else {}
    if taken:
        taken["cpu_seconds"] = taken["user_seconds"] + taken["system_seconds"]
    return taken


def run_once(command, allocator, plan, limit=NO_LIMIT):
    if allocator.missing:
        return Outcome(status="missing", detail=allocator.missing)
    if not shutil.which(command[0]):
        return Outcome(status="missing", detail=f"no such command: {command[0]}")
    if plan.prepare and subprocess.run(plan.prepare, shell=True, check=False,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       stdin=subprocess.DEVNULL).returncode:
        return Outcome(status="failed", detail=f"the preparation failed: {plan.prepare}")
    env, inner = environment(allocator, limit)
    reader, writer = os.pipe()
    watch, started = idle.Watch(), time.monotonic()
    with limit.applied() as prefix:
        process = subprocess.Popen([plan.launch, str(writer), *prefix, "env", *inner, *command],
                                   env=env, text=True, errors="replace", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True, pass_fds=[writer])
        os.close(writer)
        out, err, peaks = wait(process, plan.seconds, plan.watch)
    taken, others = time.monotonic() - started, watch.share()
    outcome = Outcome({"seconds": taken, **peaks, **usage(reader), "others": others})
    outcome["rss_peak_bytes"] = max(outcome.get("rss_peak_bytes", 0), peaks.get("rss_peak_bytes", 0))
    if out is None:
        return Outcome(status="hung", detail=f"no end within {plan.seconds:g} s", seconds=taken)
    return judge(process.returncode, out, err, outcome)


def judge(status, out, err, outcome):
    if err:
        outcome["stderr"] = err[-STDERR_KEPT:]
    if status < 0 or status > 128:  # a shell's way to tell of a signal, and launch's
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
        told = last_json(out)
        outcome.update(told)
        if told.get("failed"):
            outcome.update(status="refused", detail=f"{told['failed']} allocations failed")
    return outcome


def last_json(out):
    lines = out.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def is_over(past, plan):
    """What has failed is not run again, nor what took long."""
    return past and (past[-1]["status"] not in ("ok", "refused")
                     or past[-1]["seconds"] >= plan.once_from)


def is_late(plan):
    return plan.until is not None and time.monotonic() > plan.until


def interleave(command, chosen, plan, limit=NO_LIMIT, step=None):
    """A B C A B C: whatever else the machine does meets all alike. Cells by name."""
    outcomes = {allocator.name: [] for allocator in chosen}
    step = step or (lambda what: None)
    for turn in range(-plan.warmup, plan.rounds):
        if turn and is_late(plan):
            continue  # but for the first that counts
        for allocator in chosen:
            past = outcomes[allocator.name]
            if is_over(past, plan):
                continue
            step(allocator.name if turn >= 0 else f"{allocator.name}, warming up")
            outcome = run_once(command, allocator, plan, limit)
            if turn >= 0 or is_over([outcome], plan):
                past.append(outcome)
    repeat(command, chosen, plan, limit, step, outcomes)
    return {name: figures.combine(runs) for name, runs in outcomes.items()}


def repeat(command, chosen, plan, limit, step, outcomes):
    """Once more what was disturbed, when the machine is idle again; what is better takes its place."""
    for _ in range(plan.repeats):
        again = [one for one in chosen if not is_over(outcomes[one.name], plan)
                 and any(idle.is_disturbed(run.get("others")) for run in outcomes[one.name])]
        if not again or is_late(plan):
            return
        idle.wait(SETTLE_SECONDS, step, looks=1)
        for allocator in again:
            step(f"{allocator.name}, again: others took much of the machine")
            runs = outcomes[allocator.name]
            worst = max(range(len(runs)), key=lambda i, runs=runs: runs[i].get("others") or 0)
            outcome = run_once(command, allocator, plan, limit)
            if outcome["status"] not in ("ok", "refused") or \
                    (outcome["others"] or 0) < (runs[worst].get("others") or 0):
                runs[worst] = outcome
