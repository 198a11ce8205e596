# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# script/try-debian runs it in the Debian that it has made, where the packages are in /trial.
set -u
cd /trial || exit
failures=0
export DEBIAN_FRONTEND=noninteractive

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# step STATUS PATTERN COMMAND: by the user "trial"; a line of what it prints is like that.
step()
{
	wanted=$1 pattern=$2
	shift 2
	echo
	echo "\$ $*"
	status=0
	su trial -c "cd && $*" >out 2>&1 </dev/null || status=$?
	head -n 40 out
	[ "$status" -eq "$wanted" ] || fail "status $status, expected $wanted"
	grep -Eq -e "$pattern" out || fail "no line like $pattern"
}

# alone PACKAGE STATUS PATTERN COMMAND [NEEDED...]: as step, where the package is with what it declares that it
# needs, with what the command needs besides, and with no more.
alone()
{
	package=$1 wanted=$2 pattern=$3 command=$4
	shift 4
	echo
	echo "\$ apt-get install $package $*"
	apt-get -qq -y --no-install-recommends install "$package" "$@" >log 2>&1 || {
		tail -n 5 log
		fail "$package can't be installed"
		return
	}
	dpkg-query -W '*oomreclaim*' | grep -v '\s$'
	# The programs that the module sqlite is for bring its library.
	for file in $(dpkg -L "$package" | grep -e '/bin/' -e '[.]so' | grep -v '/sqlite[.]so$'); do
		! ldd "$file" | grep 'not found' || fail "$package: $file"
	done
	step "$wanted" "$pattern" "$command"
	apt-get -qq -y --autoremove purge '*oomreclaim*' >log 2>&1 || fail "purge: $(tail -n 5 log)"
}

id trial >/dev/null 2>&1 || useradd --create-home --shell /bin/bash trial
rm -rf /home/trial/*
echo 'deb [trusted=yes] file:/trial ./' >/etc/apt/sources.list.d/trial.list
apt-get -qq update >log 2>&1 || {
	tail -n 20 log
	exit 1
}

# ---- Each package alone ----
preload='LD_PRELOAD=liboomreclaim.so.0 OOMRECLAIM_CONF=limit:256M,modules:signal=USR1'
alone liboomreclaim0 0 '^2$' "$preload grep -Ec '(r-xp|r--p 00000000) .*/oomreclaim/signal[.]so' /proc/self/maps &&
	ls /usr/share/man/man5/oomreclaim.conf.5.gz"
alone liboomreclaim0-debug 0 'liboomreclaim-debug' "LD_PRELOAD=liboomreclaim-debug.so.0 cat /proc/self/maps"
alone oomreclaim 0 'troubleshooting[.]md' "oomreclaim run --limit 64M -- sh -c 'ls /usr/share/doc/oomreclaim/docs' &&
	ls /usr/share/man/man1/oomreclaim.1.gz /usr/share/doc/oomreclaim/README.md*"
alone python3-oomreclaim 0 '^called$' "printf '%s\n' 'import oomreclaim, time' '@oomreclaim.callback' \
	'def drop(wanted):' '    print(\"called\", flush=True)' '    return 0' \
	'oomreclaim.reclaim(1 << 20)' 'time.sleep(1)' >call.py && $preload python3 call.py"
alone liboomreclaim-dev 0 '^on oomreclaim' "cp /usr/share/doc/liboomreclaim-dev/examples/graceful.c . &&
	cc -O2 -o graceful graceful.c -l:liboomreclaim.a -pthread -lm && ./graceful 2>&1" gcc libc6-dev

echo
echo "\$ apt-get install ./*.deb"
# What the steps need besides: a compiler, and programs to try it on.
if ! apt-get -qq -y --no-install-recommends install ./*.deb \
	gcc libc6-dev pkg-config python3 sqlite3 tmux zsh man-db >log 2>&1; then
	tail -n 20 log
	exit 1
fi
dpkg-query -W '*oomreclaim*'
rm -rf /home/trial/*

step 0 '^oomreclaim [0-9]' oomreclaim --version
step 0 '^verdict: +the preload works' oomreclaim check python3
step 0 '200 MiB' "oomreclaim run --limit 256M -- python3 -c 'bytearray(200 << 20); print(\"200 MiB: fine\")'"
step 1 '^MemoryError' "oomreclaim run --limit 256M -- python3 -c 'bytearray(300 << 20)'"
step 0 '^limit +256M +OOMRECLAIM_CONF' "OOMRECLAIM_CONF=limit:256M oomreclaim conf | grep -A1 '^limit'"

# ---- An example out of tree ----
step 0 '^' "cp /usr/share/doc/liboomreclaim-dev/examples/filecache.c . &&
	cc -D_GNU_SOURCE -O2 \$(pkg-config --cflags oomreclaim) -pthread -o filecache filecache.c && ls -l filecache"
step 0 '^result: finished' "oomreclaim run --limit 32M -- ./filecache --requests 20000 /usr/share"
step 0 '^on oomreclaim' "cp /usr/share/doc/liboomreclaim-dev/examples/graceful.c . &&
	cc -O2 \$(pkg-config --cflags oomreclaim) -o graceful graceful.c \$(pkg-config --libs oomreclaim) && ./graceful"

# ---- Watched while it runs: in a terminal, as text, and for programs ----
cat >/trial/watch.sh <<'END'
oomreclaim run --limit 128M --conf high:90% --stats -- ./filecache --requests 100000000 /usr >cache.out 2>&1 &
pid=$!
tmux -L trial new-session -d -x 100 -y 30 "oomreclaim top $pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do
	sleep 2
	tmux -L trial capture-pane -p >screen
	! grep -q 'file cache' screen || break
done
grep . screen || cat cache.out
tmux -L trial send-keys q
oomreclaim stat --json $pid | fold -w 100
oomreclaim stat --prometheus $pid | grep -A2 'HELP oomreclaim_callback_claimed'
kill $pid
tmux -L trial kill-server 2>/dev/null || :
END
step 0 'file cache$' "sh /trial/watch.sh"
grep -q '^process .*(filecache), oomreclaim' out || fail "not seen in the terminal"
tr -d '\n' <out | grep -q '"limit": 134217728' || fail "not seen as JSON"
grep -q '^oomreclaim_callback_claimed_bytes_total{pid="[0-9]*",name="filecache",callback="file cache"' out ||
	fail "not seen by Prometheus"

# ---- A module ----
step 0 '^50000' "sqlite3 db 'CREATE TABLE t (id INTEGER PRIMARY KEY, text BLOB);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
	INSERT INTO t SELECT i, zeroblob(2000) FROM n; SELECT count(*) FROM t;'"
query='PRAGMA cache_size = -2000000; SELECT sum(length(text)) FROM t; SELECT sum(id) FROM t WHERE text = zeroblob(2000);'
step 7 'out of memory' "oomreclaim run --limit 48M -- sqlite3 db '$query'"
step 0 '^1250025000$' "oomreclaim run --limit 48M --conf modules:sqlite -- sqlite3 db '$query'"

# ---- Python, the debug library, the manuals, the shells ----
step 0 '[0-9]' "oomreclaim run --limit 64M -- python3 -c 'import oomreclaim; print(oomreclaim.stats())' | cut -c 1-200"
step 0 '^0$' "oomreclaim run --debug --conf lock_check:abort -- sh -c 'echo 0'"
step 0 'oomreclaim\.1' "man -w oomreclaim oomreclaim.conf 3 oomreclaim_register"
step 0 'from /usr/share/zsh/vendor-completions' "zsh -fc 'autoload -Uz compinit && compinit -D && whence -v _oomreclaim'"
step 0 '^/usr/share/bash' "ls /usr/share/bash-completion/completions/oomreclaim"

# ---- What goes wrong ----
step 2 'unknown option --frob' oomreclaim run --frob
step 1 'not found in PATH' oomreclaim run no-such-program
step 1 'no process 999999' oomreclaim top 999999
step 1 'runs without oomreclaim' "sleep 100 & oomreclaim stat \$!; s=\$?; kill \$!; exit \$s"
step 1 'belongs to user root' "oomreclaim stat 1"
step 0 'nosuch' "oomreclaim run --conf modules:nosuch -- true"

echo
echo "\$ apt-get purge '*oomreclaim*'"
rm /etc/apt/sources.list.d/trial.list
apt-get -qq -y purge '*oomreclaim*' >log 2>&1 || fail "purge: $(tail -n 5 log)"
find / -xdev -path /trial -prune -o -path /proc -prune -o -path /home -prune -o -name '*oomreclaim*' -print >left
if grep -v -e '^/var/lib/dpkg/info' -e '^/var/cache' left; then
	fail "that is left"
fi
echo
[ $failures -eq 0 ] && echo "all well"
exit $((failures != 0))
