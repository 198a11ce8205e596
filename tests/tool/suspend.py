# SPDX-License-Identifier: BSD-2-Clause
"""suspend.py TOOL PID: Control-Z in oomreclaim top, on a terminal and below a shell that knows of jobs."""
import os
import pty
import select
import signal
import sys
import termios
import time

ENTER, LEAVE, STOPPED = b"\x1b[?1049h", b"\x1b[?1049l", b"stopped\r\n"


def shell(command):
    """What a shell does with a job; its exit status is the job's, or 100 if something is wrong."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(command[0], command)
    _, status = os.waitpid(job, os.WUNTRACED)
    modes = termios.tcgetattr(0)[3]
    if not os.WIFSTOPPED(status) or not modes & termios.ICANON or not modes & termios.ECHO:
        os._exit(100)
    os.write(1, b"stopped\n")
    os.kill(job, signal.SIGCONT)
    _, status = os.waitpid(job, 0)
    os._exit(os.waitstatus_to_exitcode(status))


class Screen:
    """What the terminal has shown, and how far it has been looked at."""

    def __init__(self, terminal):
        self.terminal, self.rest = terminal, b""

    def until(self, what, key=None):
        """With a key, it is pressed until then, every five seconds: while a frame is drawn ncurses ignores Control-Z."""
        due = 0
        while what not in self.rest:
            if key and time.monotonic() >= due:
                os.write(self.terminal, key)
                due = time.monotonic() + 5
            if select.select([self.terminal], [], [], 1)[0]:
                self.rest += os.read(self.terminal, 4096)
        before, self.rest = self.rest.split(what, 1)
        return before


os.environ["TERM"] = "xterm"
child, terminal = pty.fork()
if child == 0:
    shell([sys.argv[1], "top", "-d", "0.1", sys.argv[2]])
screen = Screen(terminal)
screen.until(b"process ")
before = screen.until(STOPPED, key=b"\x1a")
assert LEAVE in before, before
screen.until(ENTER)
screen.until(b"process ")
os.write(terminal, b"q")
screen.until(LEAVE)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
