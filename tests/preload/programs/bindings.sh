#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# bindings.sh LIBRARY MODULE SOURCE-ROOT: the Python package's tests, with the library and without;
# its example.
set -eu

library=$1 module=$2 root=$3
unset LD_PRELOAD MALLOC_CONF OOMRECLAIM_CONF
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/oomreclaim"
cp "$library" "$tmp/liboomreclaim.so.0"
cp "$module" "$tmp/oomreclaim/fifo.so"
export PYTHONPATH="$root/bindings/python" PYTHONDONTWRITEBYTECODE=1

/usr/bin/python3 "$root/tests/preload/programs/bindings.py"
env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=limit:128M,high:64M \
	/usr/bin/python3 "$root/tests/preload/programs/bindings.py"
groups=$root/tests/preload/programs/bindings_groups.py
/usr/bin/python3 "$groups"
for allocator in malloc default; do
	env LD_PRELOAD="$tmp/liboomreclaim.so.0" PYTHONMALLOC=$allocator /usr/bin/python3 "$groups"
done
env LD_PRELOAD="$tmp/liboomreclaim.so.0" MALLOC_CONF=hpa:true /usr/bin/python3 "$groups" Refused
for conf in limit:96M ""; do
	prlimit --as=$((256 << 20)) env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=$conf \
		/usr/bin/python3 "$root/tests/preload/programs/bindings.py" WithoutWatermark
done
mv "$tmp/oomreclaim" "$tmp/elsewhere"
env LD_PRELOAD="$tmp/liboomreclaim.so.0" /usr/bin/python3 "$root/tests/preload/programs/bindings.py" WithoutModule
mv "$tmp/elsewhere" "$tmp/oomreclaim"
# By the name of the debug library, which is another.
mv "$tmp/liboomreclaim.so.0" "$tmp/liboomreclaim-debug.so.0"
env LD_PRELOAD="$tmp/liboomreclaim-debug.so.0" OOMRECLAIM_CONF=limit:128M,high:64M \
	/usr/bin/python3 "$root/tests/preload/programs/bindings.py" With.test_callback_in_background
mv "$tmp/liboomreclaim-debug.so.0" "$tmp/liboomreclaim.so.0"

example=$root/bindings/python/examples/cached.py
/usr/bin/python3 "$example" | grep ' misses, \([0-9]*\) kept, 0 dropped, library: False$'
env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=limit:96M,high:60% \
	/usr/bin/python3 "$example" | grep '^[1-9][0-9]* hits, .* [1-9][0-9]* kept, [1-9][0-9]* dropped, library: True$'
example=$root/bindings/python/examples/thumbnails.py
/usr/bin/python3 "$example" | grep '^3000 in the cache, 0 dropped, library: False$'
env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=limit:96M,high:60% \
	/usr/bin/python3 "$example" | grep '^[0-9]* in the cache, [1-9][0-9]* dropped, library: True$'
