# SPDX-License-Identifier: BSD-2-Clause
"""Whole programs: what each needs, what it is given, and how it is started."""

import dataclasses
import glob
import os
import shutil
import subprocess
import typing

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON = "/usr/bin/python3"


@dataclasses.dataclass
class Program:
    name: str
    needs: tuple                 # commands, or patterns of files
    package: str                 # Debian's
    size: int                    # of the work, at scale 100: about a second's on one processor
    command: typing.Callable     # (directory, size) -> words
    prepare: typing.Callable = None  # (directory, size): before anything is measured


def script(name):
    return os.path.join(HERE, name)


def python(name, size, *before):
    return Program(f"python-{name}" + ("-malloc" if before else ""), (PYTHON,), "python3", size,
                   lambda directory, size: [*before, PYTHON, "-B", script("python.py"), name,
                                            str(size)])


def write(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="ascii") as file:
        file.write(text)


def write_sql(directory, size):
    write(directory, "in.sql", f"""\
CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {size})
INSERT INTO t SELECT i, i * 7919 % 10007, 'name ' || (i * 31 % 997) || hex(randomblob(i % 40)) FROM n;
CREATE INDEX by_k ON t(k, name);
SELECT count(*), max(n) FROM (SELECT k, count(*) AS n FROM t GROUP BY k);
SELECT count(*) FROM t a JOIN t b ON a.k = b.id WHERE a.name > b.name;
SELECT length(group_concat(name)) FROM (SELECT name FROM t ORDER BY name DESC, id);
UPDATE t SET name = name || 'x' WHERE id % 3 = 0;
DELETE FROM t WHERE id % 5 = 0;
SELECT count(DISTINCT name) FROM t;
""")


def c_function(number):
    """One of many: loops, a switch, a structure, calls of those before it."""
    cases = "\n".join(f"\tcase {i}: x += s->a[{(i * number) % 16}] * {i * 37 + number}u; break;"
                      for i in range(number % 13 + 3))
    call = f"f{number - 1}(s, x >> 3)" if number else "x"
    return f"""\
static unsigned f{number}(struct s *s, unsigned x)
{{
	for (unsigned i = 0; i < {number % 7 + 2}u; i++) {{
		s->a[i % 16] ^= x * {2 * number + 1}u + i;
		if (s->a[i] & {1 << number % 31}u)
			x = (x << {number % 5 + 1}) | (x >> {number % 11 + 3});
	}}
	switch (x % {number % 13 + 3}u) {{
{cases}
	}}
	return x > {number * 97 % 1000}u ? {call} : x;
}}
"""


def write_c(directory, size):
    functions = "".join(map(c_function, range(size)))
    write(directory, "large.c", "struct s { unsigned a[16]; };\n" + functions +
          f"unsigned last(struct s *s, unsigned x) {{ return f{size - 1}(s, x); }}\n")


def git_environment(directory):
    return {**os.environ, "HOME": directory, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null"}


def write_repository(directory, size):
    """So many commits, each with a few files changed: by fast-import, in one go."""
    lines = []
    for commit in range(size):
        lines += ["commit refs/heads/main", f"committer a <a@b> {1000000000 + commit} +0000",
                  "data 6", "change"]
        for file in range(commit % 4 + 1):
            number = (commit * 7 + file) % 60
            text = "".join(f"line {i * (number + 1)} of {number}, {commit if i % 9 == file else 0}\n"
                           for i in range(200))
            lines += [f"M 100644 inline d{number % 7}/f{number}", f"data {len(text)}", text]
    env = git_environment(directory)
    subprocess.run(["git", "init", "-q", "-b", "main", directory + "/repository"], env=env, check=True)
    subprocess.run(["git", "-C", directory + "/repository", "fast-import", "--quiet"], env=env,
                   text=True, input="\n".join(lines) + "\n", check=True)


def git_command(directory, _):
    return ["env", f"HOME={directory}", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
            "sh", "-c", 'git -C "$0" repack -adfq --window=20 && git -C "$0" log -p --stat >"$0.log" && '
            'git -C "$0" fsck --no-progress >"$0.log"', directory + "/repository"]


def make_cluster(directory, size):
    subprocess.run([script("postgres.sh"), "init", directory, str(20 * size)], check=True,
                   stdout=subprocess.DEVNULL)


ALL = (
    python("json", 20), python("objects", 50), python("text", 25), python("dicts", 4),
    python("objects", 40, "env", "PYTHONMALLOC=malloc"),
    Program("sqlite3", ("sqlite3",), "sqlite3", 80000,
            lambda directory, size: ["sqlite3", ":memory:", f".read {directory}/in.sql"], write_sql),
    Program("redis", ("redis-server", "redis-benchmark", "redis-cli"), "redis-server, redis-tools",
            25000,
            lambda directory, size: [script("redis.sh"), directory, str(size)]),
    Program("gcc", ("gcc",), "gcc", 200,
            lambda directory, size: ["gcc", "-O2", "-c", f"{directory}/large.c", "-o",
                                     f"{directory}/large.o"], write_c),
    Program("node", ("node",), "nodejs", 60,
            lambda directory, size: ["node", script("node.js"), str(size)]),
    Program("git", ("git",), "git", 800, git_command, write_repository),
    Program("postgres", ("/usr/lib/postgresql/*/bin/pgbench", "setpriv"), "postgresql", 5000,
            lambda directory, size: [script("postgres.sh"), "run", directory, str(size)], make_cluster))


def is_there(need):
    return bool(glob.glob(need) if "/" in need else shutil.which(need))


def prepare(parent, names, scale, step):
    """(cases for suite.run_cases, a line for each that is left out). Each has a directory in parent."""
    cases, notes = [], []
    for program in ALL:
        if program.name not in names:
            continue
        missing = [need for need in program.needs if not is_there(need)]
        if missing:
            notes.append(f"{program.name}: skipped: {', '.join(missing)} not installed "
                         f"(Debian: {program.package})")
            continue
        step(f"{program.name}: making its input")
        directory, size = os.path.join(parent, program.name), max(1, program.size * scale // 100)
        os.mkdir(directory)
        try:
            if program.prepare:
                program.prepare(directory, size)
        except (OSError, subprocess.CalledProcessError) as error:
            notes.append(f"{program.name}: skipped: its input can't be made: {error}")
            continue
        cases.append(({"workload": program.name}, program.command(directory, size)))
    return cases, notes


NAMES = tuple(program.name for program in ALL)
