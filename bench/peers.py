# SPDX-License-Identifier: BSD-2-Clause
"""The allocators: ours, the newest of each peer that is installed, and files that the user names."""

import glob
import os
import re
import shutil
import subprocess

PLACES = ("/usr/lib", "/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/*-linux-gnu*")

# (name, pattern of its file, Debian's package by default). Where several are there, the last version.
KNOWN = (("mimalloc", "libmimalloc.so.[0-9]*", "libmimalloc2.0"),
         ("tcmalloc", "libtcmalloc_minimal.so.[0-9]*", "libtcmalloc-minimal4"),
         ("tbbmalloc", "libtbbmalloc_proxy.so.[0-9]*", "libtbbmalloc2"))

MAIN = ("oomreclaim", "jemalloc", "glibc", "mimalloc", "tcmalloc")


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
        elif self.package:
            self.version = package_version(self.preload) or self.package

    def with_env(self, name, env):
        other = Allocator(name, self.preload, self.package, {**self.env, **env})
        other.missing, other.version = self.missing, self.version
        return other


def package_version(preload):
    """Of the package that the file is from. None where it is from none."""
    if not shutil.which("dpkg-query"):
        return None
    files = [preload] if "/" in preload else sum((glob.glob(f"{place}/{preload}")
                                                  for place in PLACES), [])
    for file in files:
        # A file's name in the package's list may be without /usr, or the other way round.
        for path in (file, os.path.realpath(file), file.removeprefix("/usr")):
            found = subprocess.run(["dpkg-query", "-S", path], text=True, check=False,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            if found:
                package = found.split(": ")[0]
                return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      check=False).stdout or None
    return None


def by_version(path):
    return [int(word) for word in re.findall(r"\d+", path.rpartition(".so.")[2])]


def newest(pattern, places=PLACES):
    """The file's name, of the last version; or that of none, to be told as missing."""
    files = [os.path.basename(path) for place in places for path in glob.glob(f"{place}/{pattern}")]
    # libNAME.so.2.0 is what libNAME.so.2 leads to: the shorter is what programs ask for.
    files = sorted(set(files), key=lambda name: (by_version(name)[:1], -len(name)))
    return files[-1] if files else pattern.removesuffix(".[0-9]*")


def scudo():
    """LLVM's, in a directory for each version and machine."""
    machine = os.uname().machine
    found = sorted(glob.glob("/usr/lib/llvm-*/lib/clang/*/lib/linux/"
                             f"libclang_rt.scudo_standalone-{machine}.so"),
                   key=lambda path: [int(word) for word in re.findall(r"llvm-(\d+)", path)])
    return found[-1] if found else f"libclang_rt.scudo_standalone-{machine}.so"


def allocators(library, named=()):
    """Ours first, then the peer that ratios are taken to. named: (name, file) of the user's."""
    found = [Allocator("oomreclaim", os.path.realpath(library)),
             Allocator("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
             Allocator("glibc", "")]
    found += [Allocator(name, newest(pattern), package) for name, pattern, package in KNOWN]
    found.append(Allocator("scudo", scudo(), "libclang-rt-14-dev"))
    for name, file in named:
        found = [one for one in found if one.name != name]
        found.append(Allocator(name, os.path.realpath(file)))
    for allocator in found:
        allocator.probe()
    for name, file in named:
        one = next(one for one in found if one.name == name)
        if one.missing:
            raise SystemExit(f"--peer {name}: {file} can't be preloaded")
        one.version = f"({os.path.basename(file)})"
    return found


def named(text):
    """NAME=FILE of --peer, for argparse: what is wrong is its ValueError."""
    name, equals, file = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.+-]+", name) or name in ("oomreclaim", "jemalloc"):
        raise ValueError(text)
    if not os.path.isfile(file):
        raise ValueError(f"{file}: no such file")
    return name, file


def choose(library, extra=(), names=None, always=()):
    """Those of --allocators, by name; the main ones where none are named. The user's own always."""
    found = allocators(library, extra)
    names = [*(names.split(",") if names else MAIN), *always, *(name for name, _ in extra)]
    unknown = set(names) - {one.name for one in found}
    if unknown:
        raise SystemExit(f"no such allocator: {', '.join(sorted(unknown))} "
                         f"(there are: {', '.join(one.name for one in found)})")
    return [one for one in found if one.name in names]


def versions(chosen):
    return {one.name: {"preload": os.path.basename(one.preload), "version": one.version,
                       "missing": one.missing} for one in chosen}
