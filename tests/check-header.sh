#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-header.sh HEADER LIST CC [CXX] The public header compiles on its own in every dialect it is
# meant for, declares exactly the functions and variables that LIST (tests/exports.txt) says are
# exported, and with OOMRECLAIM_OPTIONAL a program runs without the library. So do the headers
# beside it compile.
set -eu

header=$1 list=$2 cc=$3 cxx=${4-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
LC_ALL=C
export LC_ALL
include=$(cd "$(dirname "$header")" && pwd)
name=${header##*/}
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
unset LD_PRELOAD

# compile COMPILER SOURCE ARG...: a compiler command may be several words.
compile()
{
	compiler=$1 source=$2
	shift 2
	# shellcheck disable=SC2086
	$compiler $warnings -I"$include" "$@" -c "$source" -o "$tmp/out.o"
	echo "compiles: ${compiler##*/} $*"
}

# declared ARG...: what the header declares with default visibility.
declared()
{
	# shellcheck disable=SC2086
	$cc -E -P "$@" "$header" | tr '\n\t' '  ' | tr ';' '\n' |
		sed -n '/visibility("default")/{
			s/__attribute__((visibility("default")[^)]*))//
			s/(.*//
			s/.*[ *]\([a-z_0-9]\{1,\}\) *$/\1/p
		}' | sort
}

printf '#include <%s>\ntypedef int not_empty;\n' "$name" >"$tmp/alone.c"
cp "$tmp/alone.c" "$tmp/alone.cpp"
for optional in "" -DOOMRECLAIM_OPTIONAL; do
	for std in c11 gnu11 gnu17; do
		compile "$cc" "$tmp/alone.c" -std=$std ${optional:+"$optional"}
	done
	[ -n "$cxx" ] || continue
	for std in c++11 c++17; do
		compile "$cxx" "$tmp/alone.cpp" -std=$std ${optional:+"$optional"}
	done
done

# The others that come with it: a module is C or C++, and C++ without RTTI has no dynamic_cast.
printf '#include <oomreclaim_module.h>\nOOMRECLAIM_MODULE(argument)\n{\n\treturn argument[0];\n}\n' >"$tmp/module.c"
cp "$tmp/module.c" "$tmp/module.cpp"
compile "$cc" "$tmp/module.c" -std=c11 -fvisibility=hidden
if [ -n "$cxx" ]; then
	compile "$cxx" "$tmp/module.cpp" -std=c++11 -fvisibility=hidden
	printf '#include <oomreclaim.hpp>\n' >"$tmp/hpp.cpp"
	for option in -std=c++17 -std=c++20 -fno-rtti; do
		compile "$cxx" "$tmp/hpp.cpp" -std=c++17 $option
	done
fi

grep '^oomreclaim_' "$list" | sort >"$tmp/exported"
[ -s "$tmp/exported" ]
declared >"$tmp/declared"
diff -u --label exported --label declared "$tmp/exported" "$tmp/declared"
# The application defines oomreclaim_conf; a weak one would not be the library's.
grep -v '^oomreclaim_conf$' "$tmp/exported" >"$tmp/functions"
declared -DOOMRECLAIM_OPTIONAL >"$tmp/declared"
diff -u --label exported --label "declared as optional" "$tmp/functions" "$tmp/declared"
echo "declares what is exported: $(wc -l <"$tmp/exported") names"

{
	printf '#define OOMRECLAIM_OPTIONAL\n#include <%s>\n' "$name"
	printf '#include <stdio.h>\ntypedef void function(void);\n'
	printf 'static function *volatile all[] = {\n'
	sed 's/.*/	(function *)&,/' "$tmp/functions"
	printf '};\nint main(void)\n{\n\tfor (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)\n'
	printf '\t\tif (all[i] != NULL)\n\t\t\treturn 1;\n'
	printf '\treturn oomreclaim_available() ? 2 : 0;\n}\n'
} >"$tmp/weak.c"
# shellcheck disable=SC2086
$cc -std=c11 -Wall -Wextra -Werror -Wno-cast-function-type -I"$include" -fPIE -pie "$tmp/weak.c" \
	-o "$tmp/weak"
"$tmp/weak"
echo "runs without the library"
