#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# rust.sh CRATE LIBRARY VERSION CARGO...: the crate with each cargo and its rustc, without the library, preloaded,
# and linked; and the example.
set -eu

crate=$1 library=$2 version=$3
shift 3
unset LD_PRELOAD OOMRECLAIM_CONF MALLOC_CONF RUST_BACKTRACE
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# What cargo makes is not for the sources' own directory.
cp -r "$crate" "$tmp/crate"
cd "$tmp/crate"
mkdir "$tmp/lib"
ln -s "$library" "$tmp/lib/liboomreclaim.so"
ln -s "$library" "$tmp/lib/liboomreclaim.so.0"
runner=CARGO_TARGET_$(uname -m | tr '[:lower:]' '[:upper:]')_UNKNOWN_LINUX_GNU_RUNNER
# The limit is the process's: one test at a time. A warning is an error.
export RUST_TEST_THREADS=1 RUSTFLAGS='-D warnings' RUSTDOCFLAGS='-D warnings'

fail()
{
	echo "FAIL: $*"
	exit 1
}

# passes COUNT COMMAND...: so many tests at least, or more.
passes()
{
	least=$1
	shift
	"$@" >"$tmp/out" 2>&1 || {
		cat "$tmp/out"
		fail "$*"
	}
	count=$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$tmp/out" | awk '{ sum += $1 } END { print sum + 0 }')
	[ "$count" -ge "$least" ] || fail "$*: $count tests, expected $least"
}

# says PATTERN COMMAND...
says()
{
	pattern=$1
	shift
	"$@" >"$tmp/out" 2>&1 || fail "$*: status $?: $(cat "$tmp/out")"
	grep -Eq -e "$pattern" "$tmp/out" || fail "no line like $pattern: $(cat "$tmp/out")"
}

grep -qFx "version = \"$version\"" Cargo.toml || fail "Cargo.toml has another version than $version"
for cargo; do
	RUSTC=$(dirname "$cargo")/rustc
	RUSTDOC=$(dirname "$cargo")/rustdoc
	CARGO_TARGET_DIR=$tmp/target
	export RUSTC RUSTDOC CARGO_TARGET_DIR
	rm -rf "$tmp/target" Cargo.lock
	"$RUSTC" --version
	passes 9 "$cargo" test --offline
	passes 11 env "$runner=env LD_PRELOAD=$library" "$cargo" test --offline --test present -- --ignored
	says '^library: false, 2000 in the cache, 0 dropped, 0 calls, 20 MiB: there$' "$tmp/target/debug/examples/cache"
	says '^library: true, [1-9][0-9]* in the cache, [1-9][0-9]* dropped, [1-9][0-9]* calls, 20 MiB: there$' \
		env LD_PRELOAD="$library" OOMRECLAIM_CONF=limit:64M "$tmp/target/debug/examples/cache"
	passes 11 env OOMRECLAIM_LIB_DIR="$tmp/lib" LD_LIBRARY_PATH="$tmp/lib" \
		"$cargo" test --offline --features link --test present -- --ignored
	OOMRECLAIM_LIB_DIR=$tmp/lib "$cargo" build --offline --features link --example cache 2>"$tmp/out" ||
		fail "with the feature link: $(cat "$tmp/out")"
	says '^library: true, .* [1-9][0-9]* dropped, ' \
		env LD_LIBRARY_PATH="$tmp/lib" OOMRECLAIM_CONF=limit:64M "$tmp/target/debug/examples/cache"
	passes 0 "$cargo" doc --offline
done
if "$cargo" fmt --version >/dev/null 2>&1; then
	"$cargo" fmt --check || fail "cargo fmt"
fi
