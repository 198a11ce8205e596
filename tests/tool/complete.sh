#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# complete.sh TOOL ROOT SHELL: what the shell makes of a line that is begun. complete.SHELL asks it;
# lines of "TYPED => COMPLETED".
set -eu

tool=$(realpath "$1") root=$2 shell=$3
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tool/common.sh
. "$here/common.sh"
PATH=$(dirname "$tool"):$PATH
export PATH

cat >"$tmp/lines" <<'END'
oomreclaim st => oomreclaim stat
oomreclaim chec => oomreclaim check
oomreclaim run --pol => oomreclaim run --policy
oomreclaim run --pos => oomreclaim run --post-mortem
oomreclaim run --lim => oomreclaim run --limit
oomreclaim run --policy ab => oomreclaim run --policy abort
oomreclaim run --conf kill_ta => oomreclaim run --conf kill_target:
oomreclaim run --conf wait_m => oomreclaim run --conf wait_ms:
oomreclaim run --conf wait_ms:5,policy:ki => oomreclaim run --conf wait_ms:5,policy:kill
oomreclaim run --stats -- oomrecla => oomreclaim run --stats -- oomreclaim
oomreclaim check oomrecla => oomreclaim check oomreclaim
oomreclaim conf --conf stric => oomreclaim conf --conf strict_conf:
oomreclaim conf --js => oomreclaim conf --json
oomreclaim top --del => oomreclaim top --delay
oomreclaim stat --prom => oomreclaim stat --prometheus
oomreclaim sym => oomreclaim symbolize
oomreclaim symbolize --pi => oomreclaim symbolize --pid
oomreclaim ct => oomreclaim ctl
oomreclaim ex => oomreclaim export
oomreclaim export --li => oomreclaim export --listen
oomreclaim run --contr => oomreclaim run --control
oomreclaim ctl 1 pol => oomreclaim ctl 1 policy
oomreclaim ctl 1 policy ab => oomreclaim ctl 1 policy abort
oomreclaim stat --ev => oomreclaim stat --events
END
sed 's/ => .*//' "$tmp/lines" >"$tmp/typed"
(cd "$root" && "$shell" "$here/complete.$shell" "$tmp/typed") >"$tmp/out"
diff -u "$tmp/lines" "$tmp/out" || fail "$shell"
verdict
