#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-jemalloc-defs.sh LIST CPU BUILT COMMAND SOURCE DIR CC CFLAGS AR CONFIGURE-ARG... What
# jemalloc's configure has found is what LIST says for this CPU: in the build directory BUILT, and
# once more on what looks like another machine, where COMMAND (configure-jemalloc) puts it into DIR.
set -eu

list=$1 cpu=$2 built=$3 command=$4 source=$5 dir=$6 cc=$7
shift 7

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# expected: the lines of LIST that hold for this CPU, as `NAME VALUE`.
expected()
{
	awk -v cpu="$cpu" '
		/^(#|$)/ { next }
		/^\[/ { if (("," substr($1, 2, length($1) - 2) ",") !~ ("," cpu ",")) next; sub(/^[^ ]+ +/, "") }
		{ print }' "$list" | sort
}

# found DIR: what is defined there, without what depends on the compiler alone.
found()
{
	sed -n 's/^#define \(JEMALLOC_[A-Z]\|LG_\|CPU_\|HAVE_\)/\1/p' \
		"$1/include/jemalloc/internal/jemalloc_internal_defs.h" \
		"$1/include/jemalloc/jemalloc_defs.h" |
		grep -v -e '^JEMALLOC_HAVE_ATTR' -e '^JEMALLOC_INTERNAL_DEFS_H_' | sed 's/ *$//' | sort
}

# compare WHAT DIR
compare()
{
	found "$2" >"$tmp/found"
	[ -s "$tmp/found" ] || {
		echo "nothing is defined in $2"
		failed=1
	}
	diff -u --label "$list" --label "$1" "$tmp/expected" "$tmp/found" || failed=1
}

# instead NAME TEXT: a command that comes first on the other machine.
instead()
{
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}

# Addresses of 57 bits, pages of 64 KiB, huge pages of 512 MiB, a C library with hooks and without
# many a call, whatever configure runs or looks into to find that out; and an environment in which
# much is set.
other_machine()
{
	mkdir "$tmp/bin"
	# What stands in $ belongs to these scripts.
	# shellcheck disable=SC2016
	instead cat 'case ${1-} in
/proc/meminfo) echo "Hugepagesize:     524288 kB" ;;
*) PATH=${PATH#*:} exec cat "$@" ;;
esac'
	# shellcheck disable=SC2016
	instead uname 'case ${1-} in -m | -p) echo sparc64 ;; *) PATH=${PATH#*:} exec uname "$@" ;; esac'
	instead nproc 'echo 96'
	cat >"$tmp/other.h" <<'EOF'
#ifndef OTHER_H
#define OTHER_H
#include <unistd.h>
#include <stdlib.h>
#include <sys/mman.h>
#define sysconf(name) 65536
#undef MADV_FREE
#undef MADV_DONTDUMP
#undef MADV_HUGEPAGE
__asm__(".comm __malloc_hook,8,8\n.comm __free_hook,8,8\n"
        ".comm __realloc_hook,8,8\n.comm __memalign_hook,8,8");
#endif
EOF
	instead other-cc "dir=$tmp
for arg; do
	case \$arg in
	conftest.c | *.c) [ ! -f \"\$arg\" ] || sed -i -e 's/\"cpuid\"/\"mov \$0x3939, %%eax\"/' \
		-e 's/secure_getenv\|sched_getcpu\|__libc_[a-z]*/&_not_here/g' \"\$arg\" ;;
	esac
done
exec $cc -include \$dir/other.h \"\$@\""
}

expected >"$tmp/expected"
compare "$built" "$built"
other_machine
CPPFLAGS=-DLG_VADDR=57 LDFLAGS=-L/nowhere CONFIG_SITE=$tmp/config.site \
	PATH="$tmp/bin:$PATH" "$command" "$source" "$dir" "$tmp/bin/other-cc" "$@"
compare "another machine ($dir)" "$dir"
[ $failed -eq 0 ] || echo "If that is meant to be so, say so in $list"
exit $failed
