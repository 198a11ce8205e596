#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-layers-planted.sh CHECK SRC OBJECTS NM COMPILER...: CHECK passes as it is, and finds an
# include that leads to a later room, a call that does, a call of the heap, a file in no room, and an include guard
# that two headers have.
set -eu
check=$1 src=$2 objects=$3 nm=$4
shift 4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

anew()
{
	rm -rf "$tmp/src" "$tmp/objects"
	cp -R "$src" "$tmp/src"
	mkdir "$tmp/objects"
	cp "$objects"/*.o "$tmp/objects/"
}

# finds WHAT
finds()
{
	if "$check" "$tmp/src" "$tmp/objects" "$nm" >"$tmp/out"; then
		echo "not found: $1"
		exit 1
	fi
	grep -q "$1" "$tmp/out" || {
		cat "$tmp/out"
		echo "found something else than: $1"
		exit 1
	}
}

anew
"$check" "$tmp/src" "$tmp/objects" "$nm"

echo '#include "ladder/ladder.h"' >>"$tmp/src/limits/budget.c"
finds 'limits includes ladder/ladder.h'

anew
echo 'void *ladder_descend(const void *); void *planted(void) { return ladder_descend(0); }' >"$tmp/planted.c"
"$@" -c -o "$tmp/objects/limits_planted.c.o" "$tmp/planted.c"
finds 'limits uses ladder_descend of ladder'

anew
echo 'void free(void *); void planted(void *memory) { free(memory); }' >"$tmp/planted.c"
"$@" -fno-builtin -c -o "$tmp/objects/report_planted.c.o" "$tmp/planted.c"
finds 'report uses free of entry'

anew
: >"$tmp/src/stray.c"
finds 'stray.c: in no room'

anew
sed 's/OOM_BUDGET_H/OOM_FAULT_H/' "$src/limits/budget.h" >"$tmp/src/limits/budget.h"
finds 'fault.h: has the include guard of'

anew
sed '/#ifndef OOM_BUDGET_H/d' "$src/limits/budget.h" >"$tmp/src/limits/budget.h"
finds 'budget.h: no include guard'
