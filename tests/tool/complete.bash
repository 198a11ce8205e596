# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# complete.bash LINES: see complete.sh. Calls the function as bash does, for which a colon is a
# word.
. completions/oomreclaim.bash
while IFS= read -r line; do
	COMP_LINE=$line
	COMP_POINT=${#line}
	read -r -a COMP_WORDS <<<"${line//:/ : }"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	_oomreclaim
	# A command may be in PATH twice.
	mapfile -t COMPREPLY < <(printf '%s\n' "${COMPREPLY[@]}" | sort -u)
	typed=${line##*[ :]}
	echo "$line => ${line%"$typed"}${COMPREPLY[*]}"
done <"$1"
