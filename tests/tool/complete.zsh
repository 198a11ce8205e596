# SPDX-License-Identifier: BSD-2-Clause
# complete.zsh LINES: see complete.sh. Presses the key in an interactive shell, on a terminal of its
# own.
zmodload zsh/zpty
export TERM=dumb
zpty shell zsh -f -i
zpty -w shell "PROMPT=; fpath=($PWD/completions \$fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep; print READY"
while zpty -r shell line '*'$'\n' && [[ $line != READY* ]]; do :; done
while IFS= read -r typed; do
	zpty -w -n shell $typed$'\t\C-a'"print -r -- RESULT: "$'\C-e\n'
	while zpty -r shell line '*'$'\n'; do
		line=${line%%[$'\r\n']*}
		[[ $line == RESULT:* ]] || continue
		print -r -- "$typed => ${${line#RESULT: }%% #}"
		break
	done
done <$1
zpty -d shell
