# SPDX-License-Identifier: BSD-2-Clause
"""What a failure costs that can't be helped, by callgrind; and mappings over time: runs `refusals`."""

import json
import re
import shutil
import subprocess

import fast
import limits

COUNTS = (200, 1200)
BLOCK_BYTES = 64 << 20   # of RLIMIT_AS: valgrind, which is under it as well, is left half of that
# (MiB of heap, bytes, by what they are refused); with a budget there is nobody to compare with.
CASES = {"quick": [(10, BLOCK_BYTES, "as"), (10, 64, "budget")],
         "full": [(mib, size, kind) for mib in (10, 1024)
                  for size, kind in ((BLOCK_BYTES, "as"), (16384, "budget"), (64, "budget"))]}
ROUNDS = {"quick": 4, "full": 20}
MAPS_BYTES = 1200 << 20
SECONDS = 300


def instructions(program, allocator, case, count):
    mib, size, kind = case
    env = fast.clean_environment(allocator.preload)
    if kind == "budget":
        # Each block of 16 KiB takes a page more.
        env["OOMRECLAIM_CONF"] = f"limit:{mib + mib // 2 + 16}M"
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program,
                           "cost", str(count), str(mib), str(size), kind], text=True, check=False,
                          env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    return int(found.group(1)) if found and not done.returncode else None


def per_refusal(program, allocator, case):
    few, many = (instructions(program, allocator, case, count) for count in COUNTS)
    if few is None or many is None:
        return None
    return round((many - few) / (COUNTS[1] - COUNTS[0]))


def count_maps(program, allocator, kind, rounds):
    limit = limits.make(kind, MAPS_BYTES)
    env = fast.clean_environment(allocator.preload)
    if limit.conf:
        env["OOMRECLAIM_CONF"] = limit.conf
    with limit.applied() as words:
        done = subprocess.run([*words, program, "maps", str(rounds)], text=True, check=False, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS)
    return json.loads(done.stdout) if not done.returncode else None


def run(program, chosen, mode, step):
    """(rows of costs, rows of mappings, a line for what is missing)."""
    pair = [one for one in chosen if one.name in ("oomreclaim", "jemalloc") and not one.missing]
    costs, maps, notes = [], [], []
    if not shutil.which("valgrind"):
        notes.append("refusals: skipped: valgrind is not installed")
    else:
        for case in CASES[mode]:
            step(f"refusals: {case[0]} MiB, {case[1]} bytes, {case[2]}")
            who = [one for one in pair if case[2] != "budget" or one.name == "oomreclaim"]
            costs.append({"heap_mib": case[0], "bytes": case[1], "limit": case[2],
                          "instructions": {one.name: per_refusal(program, one, case)
                                           for one in who}})
    for kind in ("as", "data", "budget", "none"):
        step(f"mappings: {kind}")
        who = [one for one in pair if kind != "budget" or one.name == "oomreclaim"]
        maps.append({"limit": kind, "maps": {one.name: count_maps(program, one, kind, ROUNDS[mode])
                                             for one in who}})
    return costs, maps, notes


def count_steps(mode):
    return len(CASES[mode]) + 4
