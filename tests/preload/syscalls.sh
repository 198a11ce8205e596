#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# syscalls.sh LIBRARY What an unconfigured library costs a program: not one thread, descriptor or
# system call more than the distribution's jemalloc, as strace counts them from the moment the
# loader is done; but for two questions after the limits, which decide on retention, and one after
# stderr, which is to be known again. The reserve is off: it is mapped at the start.
set -eu

library=$1
for tool in strace setarch /usr/bin/python3; do
	command -v "$tool" >/dev/null || {
		echo "skipped: $tool is not installed"
		exit 77
	}
done
if LD_PRELOAD=libjemalloc.so.2 /bin/true 2>&1 | grep -q .; then
	echo "skipped: libjemalloc.so.2 is not installed"
	exit 77
fi
if ! strace -qq -o /dev/null /bin/true; then
	echo "skipped: nothing may be traced here"
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Files, a child, and a good deal of memory; no thread, whose luck would be counted.
cat >"$tmp/program.py" <<'END'
import json, subprocess
for _ in range(40):
    json.loads(json.dumps([{"key": "x" * 100}] * 20000))
subprocess.run(["/bin/true"], check=True)
END

# The heap joins mappings that the kernel has put side by side, and splits them again; how often
# depends on where a library's own size, and that of the loader's cache, let them begin. So there
# are several places, which the limit of the stack decides. The least counts; but one place in eight
# may be lucky for one of the two alone, and then the middle does.
places='0 132 260 388 516 644 772 900' # KiB

# count NAME LIBRARY PLACE: "CALL COUNT" lines of all processes; nothing is to depend on the time.
count()
{
	PYTHONHASHSEED=0 PYTHONMALLOC=malloc OOMRECLAIM_CONF=reserve:0 \
		MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1 \
		prlimit --stack=$(((262144 + $3) * 1024)) setarch -R strace -f -qq -o "$tmp/$1.trace" \
		-E "LD_PRELOAD=$2" /usr/bin/python3 -S -E "$tmp/program.py"
	# The loader's part is that of each library's dependencies. It ends by giving back its
	# cache.
	awk '
	/ (execve|vfork|clone3?)\(/ { loading[$1] = / execve\(/ }
	loading[$1] { if (/ munmap\(/) loading[$1] = 0; next }
	match($0, /^[0-9]+ +[a-z_0-9]+\(/) { sub(/\(.*/, "", $2); count[$2]++ }
	END { for (call in count) print call, count[call] }' "$tmp/$1.trace" >"$tmp/$1"
}

# least NAME LIBRARY: the counts, with the least of those that map and unmap as "mapping COUNT", and
# the middle one as "middle COUNT".
least()
{
	for place in $places; do
		count "$1.$place" "$2" "$place"
	done
	awk '
	FNR == 1 && NR > 1 { sums[++places] = sum; sum = 0 }
	$1 ~ /^(mmap|munmap|madvise)$/ { sum += $2; next }
	!($1 in count) || $2 < count[$1] { count[$1] = $2 }
	END {
		sums[++places] = sum
		for (i = 2; i <= places; i++)
			for (j = i; j > 1 && sums[j - 1] > sums[j]; j--) {
				sum = sums[j]; sums[j] = sums[j - 1]; sums[j - 1] = sum
			}
		print "mapping", sums[1]
		print "middle", sums[int((places + 1) / 2)]
		for (call in count) print call, count[call]
	}' "$tmp/$1".[0-9] "$tmp/$1".[0-9][0-9][0-9] >"$tmp/$1"
}

least theirs libjemalloc.so.2
least ours "$library"
grep -Eq '^(vfork|clone3?) 1$' "$tmp/ours" || {
	echo "FAIL: not one child was seen"
	exit 1
}
awk '
NR == FNR { theirs[$1] = $2; next }
# One process and one child that is another program.
$1 == "prlimit64" { $2 -= 4 }
$1 ~ /^(newfstatat|fstat)$/ { $2 -= 2 }
$1 == "middle" { middle = $2; next }
{ ours += $2 }
$1 == "mapping" { mapping = $2; next }
$2 > theirs[$1] + 0 { print "FAIL: " $1 ": " $2 " times, jemalloc " theirs[$1] + 0; bad = 1 }
END {
	if (mapping > theirs["mapping"] && middle > theirs["middle"]) {
		print "FAIL: mapping: " mapping " times, jemalloc " theirs["mapping"] "; the middle " \
			middle ", jemalloc " theirs["middle"]
		bad = 1
	}
	for (call in theirs) if (call != "middle") all += theirs[call]
	print "system calls: " ours ", jemalloc " all
	exit bad
}' "$tmp/theirs" "$tmp/ours"
