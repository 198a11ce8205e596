# SPDX-License-Identifier: BSD-2-Clause
"""From the allocator to the interpreter without a step of Python on the allocator's thread.

What is registered with the library has to be C that takes no lock of the interpreter's: a function that ctypes makes
would take it, on oomreclaimd, while a thread that has it may be waiting for oomreclaimd. The module `fifo` is such C:
it writes what is wanted into a FIFO, or a pipe by its path in /proc, and waits for the heap to shrink. A thread here
reads the other end.
"""

import ctypes
import os
import re
import threading
from typing import Callable, Tuple

# Where other threads allocate as fast as callbacks free, nothing is seen to come back: then oomreclaimd is to look
# again soon.
_WAIT_MS = 50


def _module_path() -> str:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line[line.find("/"):].rstrip() if "/" in line else ""
            if re.match(r"liboomreclaim(-debug)?\.so", os.path.basename(path)):
                return os.path.join(os.path.dirname(path), "oomreclaim", "fifo.so")
    raise RuntimeError("liboomreclaim.so is not a file of its own in this process")


def _pipe() -> Tuple[int, int]:
    read, write = os.pipe()
    # It is opened by its path: by others too, if the process becomes another user's. Who that may be the kernel
    # decides by the directory.
    os.fchmod(write, 0o622)
    return read, write


class Waker:
    """Calls call(bytes_wanted) on a thread of its own whenever oomreclaimd wants memory."""

    def __init__(self, call: Callable[[int], object]) -> None:
        self._call = call
        module = ctypes.CDLL(_module_path())
        self._read, self._write = _pipe()
        error = module.oomreclaim_module_init(b"%d:/proc/self/fd/%d" % (_WAIT_MS, self._write))
        if error != 0:
            os.close(self._read)
            os.close(self._write)
            raise OSError(error, "modules:fifo is in use: " + os.strerror(error))
        self._start()
        os.register_at_fork(after_in_child=self._after_fork)

    def _start(self) -> None:
        threading.Thread(target=self._run, name="oomreclaim", daemon=True).start()

    def _after_fork(self) -> None:
        # A pipe of the child's own in the place of the parent's, which the C side knows by its number.
        for end, of_child in zip((self._read, self._write), _pipe()):
            os.dup2(of_child, end, inheritable=False)
            os.close(of_child)
        self._start()

    def _run(self) -> None:
        rest = b""
        while got := os.read(self._read, 4096):
            # Several lines may have come while the interpreter was busy: the last says what is wanted now.
            *lines, rest = (rest + got).split(b"\n")
            if lines:
                self._call(int(lines[-1].split()[1]))
