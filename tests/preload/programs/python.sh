#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# CPython's own test suite: the same tests pass with the preload as without. Once as it comes, where
# small objects are carved from Python's own arenas, and once with every object from malloc().
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# By path: whatever else is called python3 has other tests, or none.
python=/usr/bin/python3
need "$python"
"$python" -c 'import test.test_json, test.test_fork1' 2>/dev/null ||
	skip "$python has no test suite (Debian: libpython3.11-testsuite)"

# suite LABEL [VARIABLE=VALUE]... COMMAND: the test modules; leaves LABEL.status, LABEL.log and
# LABEL.xml.
suite() {
	label=$1
	shift
	mkdir "$label.dir"
	status=0
	# A shell starts what runs in the background with SIGINT ignored, and the tests send it.
	env --default-signal=INT,QUIT "$@" -m test -W -j 2 \
		--tempdir "$tmp/$label.dir" --junit-xml "$tmp/$label.xml" \
		test_json test_dict test_list test_threading test_subprocess test_fork1 \
		>"$label.log" 2>&1 || status=$?
	echo "$status" >"$label.status"
}

# They sleep most of the time, so let all three do so at once.
suite plain "$python" &
suite preload LD_PRELOAD="$preload" WITNESS="$witness" "$python" &
suite malloc LD_PRELOAD="$preload" WITNESS="$witness" PYTHONMALLOC=malloc "$python" &
wait

# One line for each test and what became of it.
cat >results.py <<'PY'
import sys
from xml.etree import ElementTree

for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
    outcome = [child.tag for child in case if child.tag != "system-out"]
    print(case.get("name"), case.get("result"), *outcome)
PY

for label in plain preload malloc; do
	status=$(cat "$label.status")
	[ "$status" -eq 0 ] || fail "$label: status $status" "$label.log"
	"$python" results.py "$label.xml" | sort >"$label.results"
	[ "$(wc -l <"$label.results")" -gt 500 ] ||
		fail "$label: tests are missing" "$label.results"
	cmp plain.results "$label.results" || {
		diff plain.results "$label.results" >results.diff || :
		fail "$label: other results than without the preload" results.diff
	}
	note "$label: $(wc -l <"$label.results") tests"
done

# That the heap is in use, not only in place: with PYTHONMALLOC=malloc every object is on it.
cat >heap.py <<'PY'
import ctypes

def allocated():
    value, length = ctypes.c_size_t(), ctypes.c_size_t(8)
    epoch = ctypes.c_uint64(1)
    mallctl = ctypes.CDLL(None).mallctl
    assert mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.c_size_t(8)) == 0
    name = b"stats.allocated"
    assert mallctl(name, ctypes.byref(value), ctypes.byref(length), None, 0) == 0
    return value.value

before = allocated()
objects = [str(i) * 20 for i in range(100000)]
grown = allocated() - before
assert grown > 10 << 20, grown
PY
preload env PYTHONMALLOC=malloc "$python" heap.py || fail "Python's objects are not on our heap"

witnessed python3
