#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""calls.py LIBRARY PROGRAM MANUAL

A failing allocation under a filter of system calls that lets through what MANUAL, oomreclaim.conf(5), lists for the
settings in use, and no more; and under one that answers the rest with an error.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile

ABORTED = (-6, -11)  # where tgkill() is refused, abort() ends the process by a fault
KILLED = (-9, 128 + 9)  # where kill() is refused, by exit

# Case of PROGRAM, settings, what of the manual's list is allowed beside "heap", and how it ends:
# under the list; where the rest is refused.
RUNS = [
    ("plain", "", "", (0,), (0,)),
    ("forms", "", "", (0,), (0,)),
    ("reserve", "", "", (0,), (0,)),
    ("plain", "limit:64M", "", (0,), (0,)),
    ("callback", "", "limits", (0,), (0,)),
    ("callbacks", "", "limits", (0,), (0,)),
    ("join", "wait_ms:50", "limits lines", (0,), (0,)),
    ("by-hand", "", "limits", (0,), (0,)),
    ("noretry", "", "limits", (0,), (0,)),
    ("impossible", "", "limits", (0,), (0,)),
    ("nofail", "nofail_ms:50", "limits wait lines stack abort", ABORTED, ABORTED),
    ("grow", "limit:auto", "limit:auto", (0,), (0,)),
    ("plain", "report:always", "report", (0,), (0,)),
    ("callback", "verbose:true", "verbose", (0,), (0,)),
    ("plain", "report:always,log:/dev/null", "report log", (0,), (0,)),
    ("plain", "policy:abort,costly:off", "policy:abort", ABORTED, ABORTED),
    ("plain", "policy:abort,costly:off,oom_dump:/nonexistent", "policy:abort oom_dump", ABORTED, ABORTED),
    ("decide", "costly:off", "limits", (0,), (0,)),
    ("plain", "policy:kill,costly:off", "policy:kill", KILLED, KILLED),
    ("plain", "policy:kill,costly:off,kill_signal:TERM,kill_grace_ms:50", "policy:kill", (-15,), (0,)),
    ("kill", "", "policy:kill", KILLED, KILLED),
    ("child", "policy:kill,costly:off,kill_target:children", "kill_target", ABORTED, (0,)),
    ("child", "policy:kill,costly:off,kill_target:children,kill_signal:INT", "kill_target", ABORTED, (0,)),
    ("grow", "limit:256M,high:16M", "high", (0,), (0,)),
    ("grow", "stats:true", "stats", (0,), (0,)),
    ("pressed", "pressure:FIFO", "pressure", (0,), (0,)),
    ("closed", "stats:true", "stats", (0,), (0,)),
    ("closed", "pressure:FIFO", "pressure", (0,), (0,)),
]


def read_manual(path):
    """({set: calls}, {setting: sets})"""
    section = re.search(r"^\.Sh SYSTEM CALLS\n(.*?)^\.Sh", open(path).read(), re.M | re.S)[1]
    sets = {name: calls.split() for name, calls in re.findall(r"^\.It Em (\w+)\n((?:[a-z0-9_ ]+\n)+)", section, re.M)}
    settings = {}
    for names, needed in re.findall(r"^\.It Cm (.*) Ta (.*)$", section, re.M):
        for name in names.split(", "):
            settings[name] = needed.split()
    assert len(sets) >= 11 and len(settings) >= 12, (sets, settings)
    return sets, settings


def make_fifo(directory):
    """A source of pressure, and the descriptor to report it by."""
    path = os.path.join(directory, "fifo")
    os.mkfifo(path)
    return path, os.open(path, os.O_RDWR | os.O_NONBLOCK)


def limit_space():
    resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))


def run(library, program, how, case, conf, calls, prepare=None):
    done = subprocess.run([program, how, case, *calls], timeout=60, capture_output=True, text=True, errors="replace",
                          preexec_fn=prepare, check=False,
                          env=dict(os.environ, LD_PRELOAD=library, OOMRECLAIM_CONF=conf))
    return done.returncode, done.stderr


def main(library, program, manual):
    sets, settings = read_manual(manual)
    failures = 0
    if run(library, program, "calls", "plain", "", sets["heap"])[0] == 77:
        print("skipped: no filter may be set here")
        return 77
    directory = tempfile.TemporaryDirectory()
    fifo, source = make_fifo(directory.name)
    for case, conf, uses, listed, refused in RUNS:
        conf = conf.replace("FIFO", fifo)
        names = sum((settings.get(use, [use]) for use in uses.split()), ["heap"])
        allowed = sorted(set(sum((sets[name] for name in names), [])))
        for how, calls, expected in (("calls", allowed, listed), ("refused", sets["heap"] + ["exit_group"], refused)):
            os.write(source, b"x")
            status, text = run(library, program, how, case, conf, calls)
            if status not in expected:
                failures += 1
                print(f"FAIL: {how}: {case} {conf}: status {status}, expected {expected}\n{text}")
                if status == -signal.SIGSYS:
                    print("a thread of the library's own: strace -f names the call")
    # What the heap makes by itself: jemalloc's own, where the machine has it.
    for heap in (library, "libjemalloc.so.2"):
        status, text = run(heap, program, "calls", "exhaust", "", sets["heap"], limit_space)
        if "cannot be preloaded" in text:
            continue
        if status != 0:
            failures += 1
            print(f"FAIL: {heap}: status {status}\n{text}")
    return 1 if failures else 0


sys.exit(main(*sys.argv[1:]))
