# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Completion of oomreclaim(1) for bash. What it offers as settings and processes the command itself says.

# The candidates that begin with what has been typed, without the part before the last colon: bash takes
# that for a word of its own.
_oomreclaim_offer()
{
	local typed=$1 prefix=
	shift

	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$typed")
	if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
		prefix=${typed%"${typed##*:}"}
		COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
	fi
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]]; then
		compopt -o nospace 2>/dev/null
	fi
	return 0
}

# A setting, behind those that stand there already.
_oomreclaim_offer_setting()
{
	local typed=$1 before='' key range _ words='' value

	[[ $typed != *,* ]] || before=${typed%,*},
	while IFS=$'\t' read -r key range _; do
		if [[ ${typed#"$before"} != "$key":* ]]; then
			words+=" $before$key:"
			continue
		fi
		while read -r value; do
			[[ $value == *[\ N]* ]] || words+=" $before$key:$value"
		done <<<"${range//|/$'\n'}"
	done < <("${COMP_WORDS[0]}" conf --keys 2>/dev/null)
	_oomreclaim_offer "$typed" "$words"
}

_oomreclaim_offer_process()
{
	_oomreclaim_offer "$1" "$("${COMP_WORDS[0]}" top -n 1 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }')"
}

# Of run and check, whose arguments begin with a command.
_oomreclaim_run()
{
	local typed=$1 previous=$2 at

	case $previous in
	--conf) _oomreclaim_offer_setting "$typed" && return ;;
	--policy) _oomreclaim_offer "$typed" return abort kill && return ;;
	--limit) _oomreclaim_offer "$typed" auto && return ;;
	--library) mapfile -t COMPREPLY < <(compgen -f -- "$typed") && return ;;
	--as | --data | --reserve) return ;;
	esac
	for ((at = 2; at < COMP_CWORD; at++)); do
		case ${COMP_WORDS[at]} in
		--) break ;;
		--conf | --policy | --limit | --library | --as | --data | --reserve) ((at++)) ;;
		-* | : | =) ;;
		*)
			# A conf with colons is several words here.
			[[ ${COMP_WORDS[at - 1]} != : && ${COMP_WORDS[at + 1]-} != : ]] || continue
			mapfile -t COMPREPLY < <(compgen -f -- "$typed")
			return
			;;
		esac
	done
	if [[ $typed == -* ]]; then
		_oomreclaim_offer "$typed" --limit --total --as --data --policy --reserve --conf --stats --control --post-mortem --debug \
			--library --help
	else
		mapfile -t COMPREPLY < <(compgen -c -- "$typed")
	fi
}

_oomreclaim()
{
	local line=${COMP_LINE:0:COMP_POINT} typed previous
	local -a before

	typed=${line##*[[:space:]]}
	read -r -a before <<<"${line%"$typed"}"
	previous=${before[-1]}
	if [[ $COMP_CWORD -eq 1 ]]; then
		_oomreclaim_offer "$typed" run check conf top stat export ctl symbolize --help --version
		return
	fi
	case ${COMP_WORDS[1]} in
	run) _oomreclaim_run "$typed" "$previous" ;;
	check)
		if [[ $typed == -* ]]; then
			_oomreclaim_offer "$typed" --help
		else
			mapfile -t COMPREPLY < <(compgen -c -- "$typed")
		fi
		;;
	conf)
		if [[ $previous == --conf ]]; then
			_oomreclaim_offer_setting "$typed"
		else
			_oomreclaim_offer "$typed" --conf --json --keys --help
		fi
		;;
	top)
		case $previous in
		-d | -n | --delay | --count) ;;
		*)
			if [[ $typed == -* ]]; then
				_oomreclaim_offer "$typed" --delay --count --help
			else
				_oomreclaim_offer_process "$typed"
			fi
			;;
		esac
		;;
	symbolize)
		if [[ $previous == --pid ]]; then
			_oomreclaim_offer_process "$typed"
		elif [[ $typed == -* ]]; then
			_oomreclaim_offer "$typed" --pid --help
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$typed")
		fi
		;;
	ctl)
		case $COMP_CWORD in
		2) [[ $typed == -* ]] && _oomreclaim_offer "$typed" --wait --help || _oomreclaim_offer_process "$typed" ;;
		3) _oomreclaim_offer "$typed" reclaim limit high policy callback report dump verbose ;;
		4)
			case $previous in
			policy) _oomreclaim_offer "$typed" return abort kill ;;
			verbose) _oomreclaim_offer "$typed" on off ;;
			limit | high) _oomreclaim_offer "$typed" off ;;
			esac
			;;
		esac
		;;
	export)
		[[ $previous == --listen ]] || _oomreclaim_offer "$typed" --listen --help
		;;
	stat)
		if [[ $typed == -* ]]; then
			_oomreclaim_offer "$typed" --json --prometheus --events --help
		else
			_oomreclaim_offer_process "$typed"
		fi
		;;
	esac
}

complete -F _oomreclaim oomreclaim
