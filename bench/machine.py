# SPDX-License-Identifier: BSD-2-Clause
"""What the figures were taken on."""

import glob
import os
import platform
import re
import time

import idle


def first_match(path, pattern, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(pattern, file.read(), re.M)
    except OSError:
        return default
    return found.group(1).strip('"') if found else default


def governor(root="/sys/devices/system/cpu"):
    """Of all processors, and whether they may run faster than they are sold for; in words."""
    found = {first_match(path, r"(\w+)")
             for path in glob.glob(f"{root}/cpu[0-9]*/cpufreq/scaling_governor")} - {""}
    if not found:
        return "no governor to be seen"
    words = "governor " + "/".join(sorted(found))
    boost = first_match(f"{root}/cpufreq/boost", r"([01])")
    no_turbo = first_match(f"{root}/intel_pstate/no_turbo", r"([01])")
    if boost or no_turbo:
        words += ", boost " + ("on" if boost == "1" or no_turbo == "0" else "off")
    return words


def describe():
    """No name of the machine or its user: reports are handed on."""
    memory = first_match("/proc/meminfo", r"^MemTotal:\s+(\d+) kB", "0")
    return {"cpu": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
            "cpu_family": " ".join(
                first_match("/proc/cpuinfo", rf"^{key}\s*:\s*(.*)$")
                for key in ("cpu family", "model", "stepping")).strip(),
            "virtual": bool(re.search(r"\bhypervisor\b", first_match("/proc/cpuinfo",
                                                                     r"^flags\s*:\s*(.*)$"))),
            "governor": governor(), "smt": first_match("/sys/devices/system/cpu/smt/active", r"([01])"),
            "cpus": os.cpu_count(), "memory_bytes": int(memory) << 10,
            "kernel": re.match(r"[\d.]*", platform.release()).group(),
            "system": first_match("/etc/os-release", r"^PRETTY_NAME=(.*)$", "unknown"),
            "overcommit": first_match("/proc/sys/vm/overcommit_memory", r"(\d)"),
            "thp": first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
            "load_at_start": round(os.getloadavg()[0], 2),
            "date": time.strftime("%Y-%m-%d")}


def settle(about, seconds, step):
    """Waits for an idle machine, and writes down how that went."""
    step("is the machine idle?")
    waited, share = idle.wait(seconds, step)
    about["waited_seconds"], about["others_at_start"] = waited, share


def in_words(about):
    family = about.get("cpu_family")
    parts = [about["cpu"] + (f" (family, model, stepping: {family})" if family else ""),
             f"{about['cpus']} processors" + (" of a virtual machine" if about.get("virtual") else "")]
    if about.get("smt") == "1":
        parts.append("SMT on")
    return ", ".join([*parts, about["governor"], f"{about['memory_bytes'] >> 30} GiB",
                      f"Linux {about['kernel']}", about["system"],
                      f"transparent huge pages {about['thp'] or 'unknown'}", about["date"]])


def notes(about):
    """Whether the machine was idle before the first run."""
    share = about.get("others_at_start")
    if share is None:
        yield "Whether other programs took processor time can't be told: /proc/stat says nothing."
    elif idle.is_disturbed(share):
        yield (f"The machine was busy: others took {share:.0%} of it after "
               f"{about['waited_seconds']:.0f} seconds of waiting for them to end. Times are noisy.")
