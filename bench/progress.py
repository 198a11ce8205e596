# SPDX-License-Identifier: BSD-2-Clause
"""How far it is, for the reader; and how long each case may take, so that the whole ends in time."""

import sys
import time

LINE = 99            # characters
EVERY_SECONDS = 15   # where there is no terminal


class Progress:
    """One line on a terminal, with the time left; elsewhere a line now and then."""

    def __init__(self, total, out=None, seconds=None):
        self.total, self.out, self.done = total, out or sys.stderr, 0
        self.started, self.seconds = time.monotonic(), seconds
        self.last = None  # when the last line was written, where there is no terminal

    def left(self):
        """Seconds, by what is done; not more than there is, if there is any."""
        elapsed = time.monotonic() - self.started
        guess = elapsed / self.done * max(0, self.total - self.done) if self.done else None
        rest = self.seconds - elapsed if self.seconds else 0
        known = [value for value in (guess, rest if rest > 0 else None) if value is not None]
        return min(known) if known else None

    def say(self, what):
        """Without a step."""
        left = self.left()
        clock = f"{int(left) // 60}:{int(left) % 60:02d} left" if left is not None else "--:-- left"
        line = f"[{min(self.done + 1, self.total)}/{self.total}] {clock}  {what}"
        now = time.monotonic()
        if self.out.isatty():
            self.out.write(f"\r{line[:LINE]:<{LINE}}")
        elif self.last is None or now - self.last >= EVERY_SECONDS:
            self.last = now
            self.out.write(line + "\n")
        self.out.flush()

    def step(self, what):
        self.say(what)
        self.done += 1

    def settle(self, done):
        """A case is over: what it left out counts as done."""
        self.done = max(self.done, done)

    def end(self):
        if self.out.isatty():
            self.out.write("\r" + " " * LINE + "\r")


class Deadline:
    """The time of the whole, divided among those of its parts that can be cut short, by weight."""

    def __init__(self, seconds, weights):
        self.end, self.weights = time.monotonic() + seconds, dict(weights)

    def share(self, part, cases):
        """Of what is left for this part and those behind it."""
        left, whole = max(0.0, self.end - time.monotonic()), sum(self.weights.values())
        return Share(left * self.weights.pop(part) / whole, cases)


class Share:
    """The time of a part, divided among its cases: what one does not need is for those behind it."""

    def __init__(self, seconds, cases):
        self.end = time.monotonic() + seconds if seconds is not None else None
        self.cases = cases

    def until(self):
        """For the next case: when to begin nothing more of it. None: no matter."""
        if self.end is None:
            return None
        now = time.monotonic()
        until = now + max(0.0, self.end - now) / max(1, self.cases)
        self.cases -= 1
        return until
