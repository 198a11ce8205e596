#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The stress program (stress.c) under everything that makes memory short: a budget,
# a budget with oomreclaimd at work, RLIMIT_AS, and groups with limits of their
# own; a quarter of the time each.
#
#     tests/stress/stress.sh LIBRARY PROGRAM SECONDS [OPTION...]
#
# STRESS_SECONDS in the environment wins over SECONDS, STRESS_SEED is another seed
# than the clock's. OPTIONs are the program's.
set -eu
library=$1
program=$2
seconds=${STRESS_SECONDS:-$3}
shift 3
seed=${STRESS_SEED:-$(date +%s)}

# What a user's own settings do is not what is tested here.
unset MALLOC_CONF OOMRECLAIM_CONF

# stress NAME BYTES-OF-ADDRESS-SPACE OOMRECLAIM_CONF OPTION...
stress()
{
	name=$1
	as=$2
	conf=$3
	shift 3
	echo "$name, seed $seed:"
	prlimit --as="$as" env LD_PRELOAD="$library" OOMRECLAIM_CONF="$conf" "$program" \
		--seconds $((seconds / 4)) --seed "$seed" "$@"
}

stress budget unlimited limit:48M "$@"
stress background unlimited limit:48M,high:80%,low:60% "$@"
stress RLIMIT_AS $((192 << 20)) wait_ms:10000 "$@"
stress groups unlimited limit:48M,high:80%,low:60% --groups 9 "$@"
