#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-hardening.sh LIBRARY TOOL MODULE FLAG...
# What the compiler and the linker were told to harden is hardened, jemalloc too, and the fast paths of malloc() and
# free() have nothing of it. What is not optimised has no _FORTIFY_SOURCE, and no fast paths.
set -eu

library=$1 tool=$2 module=$3
shift 3
flags=" $* "
failed=0

fail()
{
	echo "FAIL: $*"
	failed=1
}

is_told()
{
	case $flags in
	*" $1"*) ;;
	*) return 1 ;;
	esac
}

for file in "$library" "$tool" "$module"; do
	readelf -lW "$file" | grep -q GNU_RELRO || fail "$file: no RELRO"
	! readelf -lW "$file" | grep -q 'GNU_STACK.*RWE' || fail "$file: an executable stack"
	readelf -dW "$file" | grep -q NOW || fail "$file: symbols are bound late"
	! is_told -Wl,-z,shstk || readelf -n "$file" | grep -q 'x86 feature:.*SHSTK' || fail "$file: no shadow stack"
done
if is_told -fstack-protector-strong; then
	for file in "$tool" "$module"; do
		nm -D "$file" | grep -q ' U __stack_chk_fail' || fail "$file: no stack protector"
	done
fi
if ! is_told -D_FORTIFY_SOURCE=; then
	exit $failed
fi
for file in "$library" "$tool"; do
	nm -D "$file" | grep -q ' U __[a-z]*_chk' || fail "$file: nothing is checked by libc"
done

code=$(mktemp)
trap 'rm -f "$code"' EXIT
objdump -d --no-show-raw-insn "$library" >"$code"
# with PATTERN: the functions that have such an instruction, without what the optimiser puts behind their names.
with()
{
	awk -v pattern="$1" '/^[0-9a-f]+ </ { name = substr($2, 2); sub(/[.>].*/, "", name) }
		$0 ~ pattern { print name }' "$code" | sort -u
}

# One of ours and one of jemalloc's that write text to their stack.
if is_told -fstack-protector-strong; then
	guarded=$(with '__stack_chk_fail@plt>$')
	for name in io_warn stats_print_helper; do
		echo "$guarded" | grep -qx $name || fail "$name: no stack protector"
	done
fi
slowed=$(with '__stack_chk_fail@plt>$|[[:space:]]endbr64')
for name in malloc free calloc sdallocx _Znwm _ZdlPv _ZdlPvm; do
	! echo "$slowed" | grep -qx $name || fail "$name: a stack protector or a landing pad, on the fast path"
done
exit $failed
