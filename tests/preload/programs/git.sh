#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# git: hashing, delta search in two threads, garbage collection, many short processes. With fixed
# dates and names the commits have the same hashes with the preload and without.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need git

export HOME="$tmp" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=author@localhost
export GIT_COMMITTER_NAME=committer GIT_COMMITTER_EMAIL=committer@localhost

cat >work.sh <<'WORK'
set -eu
git init -q -b main repo
cd repo
git config pack.threads 2
git config gc.auto 0
for commit in 1 2 3 4 5 6 7 8; do
	export GIT_AUTHOR_DATE="2001-02-03T04:05:0$commit+00:00"
	export GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
	awk -v c="$commit" 'BEGIN {
		for (f = 0; f < 150; f++) {
			name = "file" f ".txt"
			for (l = 0; l < 150; l++)
				print f, "line", l, "of", (f * l) % (c + 2) ? "all" : c >name
			close(name)
		}
	}'
	git add .
	git commit -q -m "commit $commit"
done
git checkout -q -b side HEAD~3
date -u -d @0 >side.txt
git add side.txt
git commit -q -m side
git checkout -q main
git merge -q -m merge side
git gc -q --aggressive --prune=now
git fsck --full --strict --no-progress
git count-objects -v | grep -v size
git log --stat --format='%H %s'
git blame --porcelain file8.txt | cksum
git diff --stat HEAD~6 HEAD
git grep -c 'of 8' | cksum
git clone -q --no-local . ../clone
git -C ../clone rev-parse HEAD
git archive HEAD | cksum
cd ..
rm -rf repo clone
WORK

compare history sh work.sh
witnessed git sh
