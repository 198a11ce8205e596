#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# install.sh BUILD PREFIX LIBDIR: what is installed is all there and works, and not only where it
# was meant to go: a directory of its own takes the place of the root.
set -eu

build=$1 prefix=$2 libdir=$3
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

meson install -C "$build" --no-rebuild --destdir "$tmp/root" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
root=$tmp/root$prefix
for file in bin/oomreclaim include/oomreclaim.h include/oomreclaim.hpp include/oomreclaim_module.h \
	"$libdir/oomreclaim/exec.so" "$libdir/oomreclaim/lua.so" "$libdir/lua/5.4/oomreclaim.so" \
	"$libdir/cmake/oomreclaim/oomreclaim-config.cmake" share/man/man3/oomreclaim_register.3 \
	share/man/man3/oomreclaim_unregister.3 "$libdir/liboomreclaim.so.0" "$libdir/liboomreclaim.so" \
	"$libdir/pkgconfig/oomreclaim.pc" share/man/man1/oomreclaim.1 share/man/man3/oomreclaim.3 \
	share/man/man5/oomreclaim.conf.5 share/bash-completion/completions/oomreclaim \
	share/zsh/site-functions/_oomreclaim share/fish/vendor_completions.d/oomreclaim.fish; do
	[ -s "$root/$file" ] || fail "$file is missing"
done
tool=$root/bin/oomreclaim
expect 0 "$tool" run --limit 64M -- env
is_like "^LD_PRELOAD=$(realpath "$root/$libdir/liboomreclaim.so.0")\$" "$tmp/out"
expect 0 "$tool" run --limit 64M -- grep -c liboomreclaim /proc/self/maps

# Moved to where another distribution has libraries.
for place in lib lib64 "lib/$(uname -m)-linux-gnu"; do
	mkdir -p "$tmp/moved/bin" "$tmp/moved/$place"
	cp "$tool" "$tmp/moved/bin"
	cp "$root/$libdir/liboomreclaim.so.0" "$tmp/moved/$place"
	expect 0 "$tmp/moved/bin/oomreclaim" run --limit 64M -- env
	is_like "^LD_PRELOAD=$(realpath "$tmp/moved/$place/liboomreclaim.so.0")\$" "$tmp/out"
	rm -r "$tmp/moved"
done

# Without a library, it says where it has looked.
mkdir "$tmp/alone"
cp "$tool" "$tmp/alone"
if [ ! -e "$prefix/$libdir/liboomreclaim.so.0" ]; then
	refuses 1 "liboomreclaim.so.0 is neither beside this command nor in $prefix/$libdir; .*" \
		"$tmp/alone/oomreclaim" run true
fi
verdict
