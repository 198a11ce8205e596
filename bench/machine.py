# SPDX-License-Identifier: BSD-2-Clause
"""What the figures were taken on."""

import os
import platform
import re
import time


def first_match(path, pattern, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(pattern, file.read(), re.M)
    except OSError:
        return default
    return found.group(1).strip('"') if found else default


def describe():
    """No name of the machine or its user: reports are handed on."""
    memory = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+) kB", "0")
    return {"cpu": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
            "cpus": os.cpu_count(), "memory_bytes": int(memory) << 10,
            "kernel": re.match(r"[\d.]*", platform.release()).group(),
            "system": first_match("/etc/os-release", r"^PRETTY_NAME=(.*)$", "unknown"),
            "overcommit": first_match("/proc/sys/vm/overcommit_memory", r"(\d)"),
            "thp": first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
            "load_at_start": round(os.getloadavg()[0], 2),
            "date": time.strftime("%Y-%m-%d")}


def is_busy(machine):
    return machine["load_at_start"] > 0.5 * (machine["cpus"] or 1)
