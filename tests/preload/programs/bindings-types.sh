#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# bindings-types.sh SOURCE-ROOT: the Python package says of which types it is (py.typed): mypy agrees
# with it, and with a program that uses it rightly, and finds what is wrong in another.
set -eu

root=$1
command -v mypy >/dev/null || {
	echo 'SKIP: no mypy (Debian: mypy)'
	exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# As installed: there mypy looks only at what has py.typed.
/usr/bin/python3 -m venv --without-pip "$tmp/venv"
cp -r "$root/bindings/python/oomreclaim" "$tmp"/venv/lib/python3*/site-packages
cd "$tmp"
check()
{
	mypy --python-executable "$tmp/venv/bin/python" --strict --no-error-summary --cache-dir="$tmp/cache" "$@"
}

check "$root/bindings/python/oomreclaim" "$root/bindings/python/examples/cached.py"

cat >right.py <<'END'
from typing import Dict, Optional
import oomreclaim

@oomreclaim.cache
def one(number: int) -> bytes:
    return bytes(number)

@oomreclaim.cache(maxsize=3, typed=True, size=len)
def two(text: str) -> str:
    return text

@oomreclaim.callback
def drop(wanted: int) -> int:
    return wanted

@oomreclaim.callback(priority=2)
def drop_nothing(wanted: int) -> Optional[int]:
    return None

a: bytes = one(1)
b: str = two("b")
c: int = one.cache_info().dropped + drop(1)
d: Optional[int] = oomreclaim.get_limit()
with oomreclaim.limit("1G"), oomreclaim.scope(oomreclaim.NORETRY):
    e: int = oomreclaim.reclaim("1M") + oomreclaim.set_limit(None)
f: str = oomreclaim.__version__
with oomreclaim.group("job", max="1M", policy="cancel") as job, oomreclaim.group("part", 5, parent=job, inherit=True) as part:
    g: oomreclaim.Group = part
    with g.enter():
        h: int = g.stats()["charged"]
END
check right.py

# found TEXT: a line that is wrong is the one error.
found()
{
	printf 'import oomreclaim\n%s\n' "$1" >wrong.py
	if check wrong.py >out 2>&1 || [ "$(grep -c ': error: ' out)" -ne 1 ]; then
		cat out
		echo "FAIL: not found: $1"
		exit 1
	fi
}
found 'a: str = oomreclaim.cache(len)("x")'
found 'b: int = oomreclaim.get_limit()'
found 'oomreclaim.set_limit(1.5)'
found 'oomreclaim.limit(b"1G")'
found 'oomreclaim.cache(len, size=3)'
found 'oomreclaim.callback(3)'
found 'oomreclaim.group(3)'
found 'oomreclaim.group("job", parent="other")'
found 'c: int = oomreclaim.version()'
echo ok
