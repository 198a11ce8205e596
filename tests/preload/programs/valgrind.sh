#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# valgrind's memcheck, which has a malloc() of its own: a program runs under it, and one line says
# that the library has no part in that.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need valgrind

LD_PRELOAD=$lib valgrind --quiet /bin/echo alive >out 2>err || fail "the program does not run" err
[ "$(cat out)" = alive ] || fail "its output" out
[ "$(cat err)" = "oomreclaim: malloc() does not come here, as under valgrind: nothing is reclaimed" ] ||
	fail "not that line alone" err
