#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""containers.py SOURCE-ROOT LIBRARY TOOL FILL

Every command block of docs/containers.md is run, as it stands there, and so is every command in backquotes. A comment
above a block says how:

    <!-- tried as KIND -->          or      <!-- tried as KIND, in part: WHAT IS NOT -->
    <!-- not tried: REASON -->

The image is built by buildah, from nothing: FILL (fill.c), a shell, some commands, and the library, in each directory
that the document names. Limits are memory groups of version 1. Status 77 where these can't be had.
"""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import yaml

MIB = 1 << 20
COMMANDS = ("/bin/sh", "/usr/bin/env", "/usr/bin/prlimit", "/usr/bin/setpriv")
# What is taken for a command where it stands in a line.
COMMAND = re.compile(r"(?:oomreclaim|meson|prlimit|setpriv|ldconfig|sudo|srun|docker) \S.*")
BLOCK = re.compile(r"((?:<!--[^>]*-->\n+)?)((?:^    .*\n|^\n(?=    ))+)", re.M)
MARK = re.compile(r"<!-- (?:tried as (?P<kind>[\w-]+)(?:, in part: (?P<part>.+))?|not tried: (?P<reason>.+)) -->\s*", re.S)

failures = []


def fail(text):
    failures.append(text)
    print("FAIL:", text)


def one_line(text):
    return " ".join(text.split())


class Document:
    def __init__(self, path):
        text = path.read_text()
        self.text = text
        self.blocks = []
        for match in BLOCK.finditer(text):
            lines = [line[4:] for line in match[2].strip("\n").split("\n")]
            self.blocks.append((match[1], "\n".join(lines) + "\n"))
        prose = re.sub(r"^    .*$", "", text, flags=re.M)
        # A command may go on in the next line.
        self.commands = [one_line(code) for code in re.findall(r"`([^`]+)`", prose) if COMMAND.fullmatch(one_line(code))]
        named = re.search(r"installs it into `(/usr/local/lib)` .*?that is `([^`]+)` or `([^`]+)` on some", text, re.S)
        self.libdirs = [named[1], "/usr/local/" + named[2], "/usr/local/" + named[3]] if named else []


class Group:
    """A memory group of version 1 below our own; what is started in it has its limit."""

    def __init__(self, limit):
        own = re.search(r"^\d+:memory:(.*)$", pathlib.Path("/proc/self/cgroup").read_text(), re.M)
        mount = [line.split()[4] for line in open("/proc/self/mountinfo", encoding="ascii")
                 if " - cgroup " in line and "memory" in line.split()[-1].split(",")]
        if not own or not mount:
            raise OSError("no memory groups of version 1")
        self.path = pathlib.Path(mount[0] + own[1].rstrip("/")) / f"oomreclaim-containers.{os.getpid()}"
        self.path.mkdir()
        (self.path / "memory.limit_in_bytes").write_text(str(limit))

    def __enter__(self):
        return self

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self):
        return int(re.search(r"oom_kill (\d+)", (self.path / "memory.oom_control").read_text())[1])

    def __exit__(self, *_):
        for _ in range(50):
            for pid in (self.path / "cgroup.procs").read_text().split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                self.path.rmdir()
                return
            except OSError:
                subprocess.run(["sleep", "0.2"], check=True)


class Images:
    def __init__(self, place, library, tool, fill):
        self.place, self.library = place, library
        self.buildah = ["buildah", "--root", str(place / "store"), "--runroot", str(place / "run"), "--storage-driver", "vfs"]
        self.roots = {}
        root = place / "context" / "root"
        self.copy(root, fill, "/usr/local/bin/fill")
        self.copy(root, tool, "/usr/local/bin/oomreclaim")
        self.copy(root, "/sbin/ldconfig", "/sbin/ldconfig")
        # What the library needs is in the image, and the library itself is not yet.
        self.copy(root, library, "/home/user/lib/liboomreclaim.so.0")
        for command in COMMANDS:
            self.copy(root, command, command)
        for directory in ("proc", "sys", "dev", "tmp", "etc", "home/user"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        shutil.copytree("/etc/ld.so.conf.d", root / "etc/ld.so.conf.d")
        shutil.copy("/etc/ld.so.conf", root / "etc")
        (root / "etc/passwd").write_text("root:x:0:0::/home/user:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        srun = root / "usr/local/bin/srun"
        srun.write_text('#!/bin/sh\nexec "$@"\n')
        srun.chmod(0o755)
        shutil.copy(fill, root / "home/user/program")

    @staticmethod
    def copy(root, path, to):
        """A command, and the libraries that it names, where they are."""
        libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for one in [(path, to)] + [(found, found) for found in re.findall(r"(/\S+) \(0x", libraries)]:
            target = root / one[1].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(one[0]), target)

    def build(self, last_lines, libdir):
        """The image whose last stage is what runs, with these lines at its end."""
        context = self.place / "context"
        shutil.rmtree(context / "built", ignore_errors=True)
        built = context / "built" / libdir.lstrip("/")
        built.mkdir(parents=True)
        shutil.copy(self.library, built / "liboomreclaim.so.0")
        (context / "Containerfile").write_text(
            "FROM scratch AS build\nCOPY built/ /\nFROM scratch\nCOPY root/ /\n" + last_lines + 'CMD ["fill"]\n')
        subprocess.run([*self.buildah, "bud", "--quiet", "--isolation", "chroot", "-t", "image", "-f",
                        context / "Containerfile", context], check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run([*self.buildah, "from", "--quiet", "image"], check=True, capture_output=True, text=True)
        container = made.stdout.strip()
        self.roots[container] = subprocess.run([*self.buildah, "mount", container], check=True, capture_output=True,
                                               text=True).stdout.strip()
        return container

    def run(self, container, command, group=None, environment=None, directory="/"):
        """As it would be started: with the image's environment, and these variables."""
        environment = [word for name, value in (environment or {}).items() for word in ("--env", f"{name}={value}")]
        # Through buildah's own pipes not all that is printed arrives.
        script = 'exec "$@" >/tmp/out 2>/tmp/err'
        done = subprocess.run([*self.buildah, "run", "--isolation", "chroot", "--workingdir", directory, *environment,
                               container, "--", "/bin/sh", "-c", script, "sh", *command],
                              preexec_fn=group.enter if group else None, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        root = pathlib.Path(self.roots[container])
        done.stdout, done.stderr = (root / "tmp/out").read_text(), (root / "tmp/err").read_text()
        return done

    def remove(self):
        if self.roots:
            subprocess.run([*self.buildah, "umount", "--all"], stdout=subprocess.DEVNULL, check=False)
            subprocess.run([*self.buildah, "rm", "--all"], stdout=subprocess.DEVNULL, check=False)
            subprocess.run([*self.buildah, "rmi", "--all", "--force"], stdout=subprocess.DEVNULL, check=False)


class Trial:
    def __init__(self, document, images, tool, place, source):
        self.document, self.images, self.tool, self.place, self.source = document, images, tool, place, source
        # What the blocks before have made.
        self.by_libdir = {}
        self.plain = self.bare(document.libdirs[0])

    def filled(self, what, container, limit, environment=None, command=("fill",), directory="/"):
        """The program gets what the limit leaves of `limit` bytes, and nobody is killed; without the library it gets
        more."""
        with Group(limit) as group:
            done = self.images.run(container, command, group, environment, directory)
            killed = group.killed()
        got = re.fullmatch(r"(\d+) MiB, on oomreclaim\n", done.stdout)
        # buildah itself is in the group, and what it uses is taken off.
        least, most = limit * 0.9 / MIB - 150, limit * 0.9 / MIB
        if done.returncode != 0 or done.stderr or killed or not got or not least < int(got[1]) <= most:
            fail(f"{what}: status {done.returncode}, {killed} killed, expected {least:.0f} to {most:.0f} MiB:\n"
                 f"{done.stdout}{done.stderr}")

    def bare(self, libdir):
        """An image with the library, and no variables."""
        return self.images.build(f"COPY --from=build {libdir}/ {libdir}/\n", libdir)

    # ---- Blocks, by their kinds ----

    def try_containerfile(self, block):
        for libdir in self.document.libdirs:
            lines = block.replace(self.document.libdirs[0] + "/", libdir + "/")
            container = self.images.build(lines, libdir)
            self.by_libdir[libdir] = container
            self.filled(f"an image with {libdir}", container, 256 * MIB)

    def try_engine(self, block):
        words = shlex.split(block)
        options = dict(word[2:].split("=") for word in words if word.startswith("--"))
        if words[:2] != ["docker", "run"] or words[-1] != "IMAGE" or set(options) != {"memory", "memory-swap"}:
            fail(f"no docker run with these two options: {block}")
            return
        # As much with swap as without is none.
        if options["memory"] != options["memory-swap"]:
            fail(f"a limit with swap: {block}")
        self.filled(block.strip(), self.by_libdir[self.document.libdirs[0]], size(options["memory"]))

    def try_pod(self, block):
        (container,) = yaml.safe_load(block)["containers"]
        if set(container) != {"name", "image", "env", "resources"}:
            fail(f"pod: {container}")
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        limit = size(container["resources"]["limits"]["memory"])
        for libdir in self.document.libdirs:
            at = {name: value.replace(self.document.libdirs[0] + "/", libdir + "/") for name, value in environment.items()}
            self.filled(f"pod, {libdir}", self.bare(libdir), limit, at)

    def try_dropin(self, block):
        # The example is of the same kind, and has more.
        for text in (block, (self.source / "examples/systemd/oomreclaim.conf").read_text()):
            verify(self.place, text)
            settings = [line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] not in "#["]
            if re.search(r"(?<!%)(?:%%)*%(?!%)", "".join(value for name, value in settings if name == "Environment")):
                fail(f"a % that is systemd's: {text}")
            environment = dict(word.replace("%%", "%").split("=", 1) for name, value in settings if name == "Environment"
                               for word in shlex.split(value))
            self.named_alone(environment, size(dict(settings)["MemoryMax"]))

    def named_alone(self, environment, limit):
        """Where the loader knows the directory, the name does; elsewhere the path, as the document says."""
        listed = 0
        for libdir in self.document.libdirs:
            bare = self.bare(libdir)
            self.images.run(bare, ["/sbin/ldconfig"])
            known = self.images.run(bare, ["/sbin/ldconfig", "-p"]).stdout
            at = dict(environment)
            if f"=> {libdir}/liboomreclaim.so.0" in known:
                listed += 1
            elif f"`LD_PRELOAD={libdir}/{environment['LD_PRELOAD']}`" in self.document.text:
                at["LD_PRELOAD"] = f"{libdir}/{environment['LD_PRELOAD']}"
            else:
                fail(f"the loader does not know {libdir}, and the document does not say so")
            self.filled(f"drop-in, {libdir}", bare, limit, at)
        if not listed:
            fail(f"the loader knows none of {self.document.libdirs}")

    def try_job(self, block):
        memory = re.search(r"^#SBATCH --mem=(\S+)$", block, re.M)
        self.filled("job", self.plain, size(memory[1]), command=["sh", "-ec", block], directory="/home/user")

    def try_shell(self, block):
        limit = re.search(r"ulimit -v \$\(\(4 << 20\)\)", block)
        self.below(block, ["sh", "-ec", block], 3500, 4096 if limit else 0)

    def below(self, what, command, least, most, container=None, directory="/home/user"):
        done = self.images.run(container or self.plain, command, directory=directory)
        got = re.fullmatch(r"(\d+) MiB, on oomreclaim\n", done.stdout)
        if done.returncode != 0 or done.stderr or not got or not least <= int(got[1]) < most:
            fail(f"{what}: status {done.returncode}, expected {least} to {most} MiB:\n{done.stdout}{done.stderr}")

    # ---- Commands in backquotes ----

    def says(self, command, pattern, group=None):
        done = self.images.run(self.by_libdir[self.document.libdirs[0]], command, group)
        if done.returncode != 0 or not re.search(pattern, done.stdout, re.M):
            fail(f"{' '.join(command)}: status {done.returncode}, no line like {pattern}:\n{done.stdout}{done.stderr}")

    def try_check(self, command):
        self.says(fill_in(command, PROGRAM="fill"), r"^verdict: +the preload works")

    def try_conf(self, command):
        with Group(256 * MIB) as group:
            self.says(fill_in(command), rf"^limit:auto: \d+ bytes, .*90% of the limit of {re.escape(str(group.path))}$", group)

    def try_stat(self, command):
        # Until its page is there.
        script = f"fill wait >/dev/null & until {' '.join(fill_in(command, PID='$!'))} 2>/dev/null; do :; done; kill $!"
        done = self.images.run(self.by_libdir[self.document.libdirs[0]], ["sh", "-c", script],
                               environment={"OOMRECLAIM_CONF": "limit:64M,stats:true"})
        if not re.search(r"^budget +charged .* limit 64\.0M", done.stdout, re.M):
            fail(f"{command}: {done.stdout}{done.stderr}")

    def try_total(self, command):
        self.below(command, fill_in(command, SIZE="64M", server="fill"), 40, 65)

    def try_prlimit(self, command):
        library = "/home/user/lib/liboomreclaim.so.0"
        words = fill_in(command.replace("LD_PRELOAD=...", f"LD_PRELOAD={library}"), BYTES=str(512 * MIB), program="./program")
        self.below(command, [word.replace("=BYTES", f"={512 * MIB}") for word in words], 400, 512)

    def try_setpriv(self, command):
        words = fill_in(command.replace("setpriv ...", "setpriv --reuid=65534 --regid=65534 --clear-groups"), program="fill")
        self.below(command, words, 1, 1 << 20)

    def try_setpriv_kept(self, command):
        """As it drops privileges itself, it runs on the library with pressure:auto, as the document says."""
        words = fill_in(command.replace("=...", "=65534"))
        done = self.images.run(self.by_libdir[self.document.libdirs[0]], [*words, "--clear-groups", "fill"],
                               environment={"OOMRECLAIM_CONF": "pressure:auto"})
        if done.returncode != 0 or "on oomreclaim" not in done.stdout:
            fail(f"{command}: status {done.returncode}: {done.stdout}{done.stderr}")


def fill_in(command, **names):
    return [names.get(word, word) for word in shlex.split(command)]


def size(text):
    """As engines, Kubernetes, systemd and Slurm have it."""
    number, unit = re.fullmatch(r"(\d+)([kKmMgG])i?", text).groups()
    return int(number) << {"k": 10, "m": 20, "g": 30}[unit.lower()]


def verify(place, text):
    """systemd has nothing to say of the drop-in, but of what it is too old for."""
    shutil.rmtree(place / "units", ignore_errors=True)
    (place / "units/trial.service.d").mkdir(parents=True)
    unit = place / "units/trial.service"
    unit.write_text("[Unit]\nDescription=Trial\n[Service]\nExecStart=/bin/true\n")
    dropin = place / "units/trial.service.d/oomreclaim.conf"
    done = None
    # What it says of the unit alone is not the drop-in's.
    for content in ("", text):
        dropin.write_text(content)
        before, done = done, subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
                                            capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line not in before.stderr.splitlines()]
    version = int(subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout.split()[1])
    if version < 254:
        known = [line for line in said if re.search(r"Unknown key .*'MemoryPressure(Watch|ThresholdSec)' in section", line)]
        if not known:
            fail("systemd-analyze does not look at the drop-in")
        said = [line for line in said if line not in known]
    if said:
        fail(f"systemd-analyze verify: status {done.returncode}: {said}")


KINDS = {"Containerfile": Trial.try_containerfile, "engine": Trial.try_engine, "pod": Trial.try_pod,
         "drop-in": Trial.try_dropin, "job": Trial.try_job, "shell": Trial.try_shell}
COMMANDS_TRIED = {
    "oomreclaim check PROGRAM": Trial.try_check,
    "oomreclaim stat PID": Trial.try_stat,
    "oomreclaim conf --conf limit:auto": Trial.try_conf,
    "oomreclaim run --total SIZE -- server": Trial.try_total,
    "prlimit --as=BYTES env LD_PRELOAD=... program": Trial.try_prlimit,
    "setpriv --reuid=... --regid=...": Trial.try_setpriv_kept,
    "setpriv ... oomreclaim run --conf pressure:auto -- program": Trial.try_setpriv,
}
# By another test, in a block's, or as the document's subject.
ELSEWHERE = {
    "meson setup --libdir lib build": "the test tool-libdir runs it",
    "oomreclaim stat": "a name", "ldconfig -p": "with the drop-in", "sudo ldconfig": "with the drop-in",
}


def look(document):
    """What is wrong with the marks, before anything is run."""
    if len(document.blocks) < 6 or len(document.libdirs) != 3:
        fail(f"{len(document.blocks)} blocks, and directories {document.libdirs}")
    for mark, block in document.blocks:
        match = MARK.fullmatch(mark)
        if not match or (match["kind"] and match["kind"] not in KINDS):
            fail(f"nothing says how this block is tried: {mark}{block}")
    for command in document.commands:
        if command not in COMMANDS_TRIED and command not in ELSEWHERE:
            fail(f"nothing tries `{command}`")
    for command in COMMANDS_TRIED:
        if command not in document.commands:
            fail(f"`{command}` is not in the document any more")


def main(source, library, tool, fill):
    document = Document(source / "docs/containers.md")
    look(document)
    if failures:
        return 1
    try:
        with Group(MIB << 10):
            pass
        if not shutil.which("buildah"):
            raise OSError("no buildah")
    except OSError as error:
        print(f"skipped: {error}")
        return 77
    place = pathlib.Path(tempfile.mkdtemp())
    images = Images(place, library, tool, fill)
    try:
        trial = Trial(document, images, tool, place, source)
        for mark, block in document.blocks:
            match = MARK.fullmatch(mark)
            if match["kind"]:
                KINDS[match["kind"]](trial, block)
                print(f"{match['kind']}: run" + (f", but {one_line(match['part'])}" if match["part"] else ""))
            else:
                print(f"not run: {one_line(match['reason'])}:\n{block}")
        for command in sorted(set(document.commands)):
            if command in COMMANDS_TRIED:
                COMMANDS_TRIED[command](trial, command)
            print(f"`{command}`: {ELSEWHERE.get(command, 'run')}")
    finally:
        images.remove()
        shutil.rmtree(place, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), *sys.argv[2:5]))
