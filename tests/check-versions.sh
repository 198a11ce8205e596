#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-versions.sh ROOT: all places that RELEASING.md lists have the version of meson.build.
set -eu
cd "$1"

version=$(sed -n "s/^  version: '\([0-9.]*\)',$/\1/p" meson.build)
series=${version%.*}
failed=0

# has FILE TEXT: the file has it, and RELEASING.md the file.
has()
{
	grep -qF -- "$2" "$1" || {
		echo "FAIL: $1 does not have: $2"
		failed=1
	}
	grep -qF "\`$1\`" RELEASING.md || {
		echo "FAIL: RELEASING.md does not have $1"
		failed=1
	}
}

[ -n "$version" ] || {
	echo "FAIL: no version in meson.build"
	exit 1
}
has meson.build "version: '$version'"
has include/oomreclaim.h "#define OOMRECLAIM_VERSION_MAJOR ${version%%.*}"
has include/oomreclaim.h "#define OOMRECLAIM_VERSION_MINOR ${series#*.}"
has include/oomreclaim.h "#define OOMRECLAIM_VERSION_PATCH ${version##*.}"
has bindings/python/pyproject.toml "version = \"$version\""
has bindings/rust/Cargo.toml "version = \"$version\""
has bindings/python/oomreclaim/__init__.py "__version__ = \"$version\""
has packaging/debian/changelog "oomreclaim ($version-1)"
has packaging/fedora/oomreclaim.spec "Version:        $version"
has packaging/fedora/oomreclaim.spec " - $version-1"
has packaging/arch/PKGBUILD "pkgver=$version"
has CHANGELOG.md "## $version "
has README.md "oomreclaim $version, policy"
has README.md "$series.x"
has examples/CMakeLists.txt "find_package(oomreclaim $series "
has tests/preload/optional.c "\"$version\""
# The first section and the first entry are this version's.
[ "$(sed -n 's/^## \([0-9.]*\) .*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ] || {
	echo "FAIL: CHANGELOG.md: $version is not the first section"
	failed=1
}
case $(head -n 1 packaging/debian/changelog) in
"oomreclaim ($version-1) "*) ;;
*)
	echo "FAIL: packaging/debian/changelog: $version is not the first entry"
	failed=1
	;;
esac
exit $failed
