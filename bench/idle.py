# SPDX-License-Identifier: BSD-2-Clause
"""Whether the machine was ours: what others took of its processors; waiting until that is little."""

import os
import re
import resource
import time

OTHERS_MAX = 0.10      # of the processors' time: above it a run counts as disturbed
OTHERS_LEAST = 0.05    # seconds: less is within the kernel's ticks
LOOK_SECONDS = 1.0     # how long a look at an otherwise idle machine takes
QUIET_LOOKS = 3        # so many in a row


def busy_seconds(path="/proc/stat"):
    """Processor time of all since boot, a hypervisor's other guests included. None if unknown."""
    try:
        with open(path, encoding="ascii") as file:
            found = re.match(r"cpu +([\d ]+)", file.read())
    except OSError:
        return None
    if not found:
        return None
    ticks = [int(word) for word in found.group(1).split()]
    if not any(ticks):
        return None  # some containers' /proc has noughts
    idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
    # Guests' time, from the ninth on, is in the user's already.
    return (sum(ticks[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Ours, and that of every process below us that has ended and was waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Watch:
    """From here to share(): what part of the processors' time others took. None if it can't be told."""

    def __init__(self):
        self.began, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def share(self):
        busy, taken = busy_seconds(), time.monotonic() - self.began
        if busy is None or self.busy is None or taken <= 0:
            return None
        others = busy - self.busy - (own_seconds() - self.own)
        if others < OTHERS_LEAST:
            return 0.0
        return round(min(1.0, others / (taken * (os.cpu_count() or 1))), 3)


def is_disturbed(share):
    return share is not None and share > OTHERS_MAX


def look():
    watch = Watch()
    time.sleep(LOOK_SECONDS)
    return watch.share()


def wait(seconds, step, looks=QUIET_LOOKS):
    """Until the machine is idle, or so many seconds are over. (seconds waited, share of others in the
    last look); the share alone, without waiting, where there is nothing to wait for."""
    began, quiet = time.monotonic(), 0
    while True:
        share = look()
        quiet = 0 if is_disturbed(share) else quiet + 1
        waited = time.monotonic() - began
        if share is None or quiet >= looks or waited >= seconds:
            return round(waited, 1), share
        if not quiet:
            step(f"waiting for an idle machine: others take {share:.0%} of it")
