#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The models of waiting, joining, unregistering and forking (reclaim.pml), of own reclaim
# by degrees (own.pml), and of a group that is cancelled (cancel.pml): they hold as they
# are, and each of the bugs that can be planted in them is found.
#
#     tests/model/check.sh [CC [DEFINE...]]     # -DFORKS -DFORK_KEEPS_LOCK, say: its trail
#
# MODEL=own.pml: the trail of that one.
set -eu
source=$(cd "$(dirname "$0")" && pwd)
model=${MODEL:-reclaim.pml}
cc=${1:-cc}
[ $# -eq 0 ] || shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
cd "$tmp"
# Beside them goes the trail of an error.
cp "$source"/*.pml .
failures=0
optimise=-O0 # a bug is found sooner than a compiler has optimised

# search DEFINE...: prints the number of errors (0 or 1), leaves pan's words in out.
search()
{
	rm -f ./*.trail pan*
	spin -a "$@" "$model" >out 2>&1 || {
		cat out >&2
		return 1
	}
	# Processes that are not in the child of a fork are switched off by `provided`,
	# which partial-order reduction can't follow (NOREDUCE); nor do they end (-E):
	# the model finds deadlocks by itself.
	# $cc may have options.
	# shellcheck disable=SC2086
	$cc "$optimise" -DSAFETY -DNOREDUCE -DCOLLAPSE -o pan pan.c >>out 2>&1 || {
		cat out >&2
		return 1
	}
	./pan -E -m100000 >out 2>&1 || :
	# What was not searched to its end proves nothing.
	if grep -E 'max search depth|out of memory|Interrupted' out >&2; then
		return 1
	fi
	sed -n 's/.*errors: \([0-9]*\)$/\1/p' out
}

holds()
{
	errors=$(search "$@")
	if [ "$errors" = 0 ]; then
		echo "holds: $*: $(sed -n 's/^ *\([0-9]*\) states, stored$/\1/p' out) states"
		return
	fi
	cat out
	[ ! -f "$model.trail" ] || spin -t -p "$@" "$model" | tail -n 100
	echo "DOES NOT HOLD: $*"
	failures=$((failures + 1))
}

is_found()
{
	errors=$(search "$@")
	if [ "$errors" = 1 ]; then
		echo "found: $*: $(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' out)"
		return
	fi
	echo "NOT FOUND: $*"
	failures=$((failures + 1))
}

if [ $# -gt 0 ]; then
	search "$@"
	cat out
	[ ! -f "$model.trail" ] || spin -t -p "$@" "$model"
	exit
fi

for bug in LOST_BROADCAST SIGNAL_ONE WAIT_BY_ACTIVE WAKE_BEFORE_END BOUND_RESTARTS NO_BOUND \
	LOCK_OVER_CALLBACK NO_DRAIN DRAIN_OWN_CALL LEFT_NOT_TOLD FREE_PINNED DEAD_IS_CALLED TWICE_CALLED; do
	is_found -DNO_FORKS -D$bug
done
for bug in FORK_KEEPS_ROUND FORK_ENDS_OWN_CALL FORK_KEEPS_CALLS FORK_KEEPS_LOCK; do
	is_found -DFORKS -D$bug
done
for bug in NO_EDEADLK EDEADLK_IN_ANY_CALL WAIT_NOT_NOTED; do
	is_found -DEACH_OTHER -D$bug
done
is_found -DPOLICY -DOWN_KIND_ONLY
for bug in PLACE_NOT_PINNED PLACE_NOT_LEFT UNPIN_FREES; do
	is_found -DSHRINKERS -D$bug
done
is_found -DSHRINKERS -DFORKS -DFORK_FORGETS_PLACE
for bug in ROOM_IN_ROUND TURN_NOT_ENDED NO_DRAIN; do
	is_found -DTELLS -DNO_FORKS -D$bug
done
is_found -DTELLS -DFORKS -DFORK_KEEPS_ROUND
optimise=-O2
holds -DNO_FORKS
holds -DFORKS
holds -DEACH_OTHER
holds -DPOLICY
holds -DSHRINKERS
holds -DSHRINKERS -DFORKS
holds -DTELLS -DNO_FORKS
holds -DTELLS -DFORKS
holds -DTELLS -DSHRINKERS
holds -DTELLS -DSHRINKERS -DFORKS

model=own.pml
optimise=-O0
for bug in NO_FLUSH NO_COMPACT NO_BORROW NO_EVICT NO_EVICT_ALL EVICT_BEFORE_BORROW EVICT_FOR_EVER ALL_AT_ONCE \
	NO_ATTEMPT NEVER_ASKS NOT_AGAIN AGAIN_IS_PUT_OFF PUT_OFF_FOR_NORETRY; do
	is_found -DOWN -D$bug
done
optimise=-O2
holds -DOWN

model=cancel.pml
optimise=-O0
for bug in CHOOSES_IN_TWO_STEPS SECOND_VICTIM LOOKS_BEFORE_SEEN NO_WAKE NO_BOUND NO_GRACE TOLD_AGAIN NEVER_TOLD \
	WAITS_FOR_ITSELF NO_REAP LIFTED_BY_TIME; do
	is_found -DCANCEL -D$bug
done
optimise=-O2
holds -DCANCEL
exit $((failures > 0))
