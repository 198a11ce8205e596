#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# web.sh TOOL WORKER FAKE_PAGE SOURCE-ROOT: the exporter's page, as Chromium makes it.
set -eu

tool=$1 worker=$2 fake=$3 source=$4
here=$(cd "$(dirname "$0")" && pwd)
# For common.sh.
is_alone=1
# shellcheck source=tests/tool/common.sh
. "$here/common.sh"

page=$source/tools/web.html
[ "$(wc -l <"$page")" -lt 300 ] || fail "a page of $(wc -l <"$page") lines is not small"
# Nothing from elsewhere, and nothing that makes elements of text.
! grep -nE '(src|href)="?(https?:)?//|@import|url\(|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(' "$page" ||
	fail "the page is not by itself"

browser=
for name in chromium chromium-browser google-chrome; do
	[ -n "$browser" ] || browser=$(command -v $name) || :
done
if [ -z "$browser" ]; then
	echo "skipped: there is no Chromium"
	exit 77
fi

# dump: the page after some seconds of its own time, which need not be ours, in $tmp/dom.
dump()
{
	timeout 300 "$browser" --headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update \
		--no-first-run --user-data-dir="$tmp/browser" --virtual-time-budget=9000 --dump-dom "${url%metrics}" \
		>"$tmp/dom" 2>"$tmp/browser.err" || {
		fail "$browser: status $?"
		tail -n 5 "$tmp/browser.err"
	}
}

serve 0
dump
/usr/bin/python3 "$here/web_dom.py" "$tmp/dom" none || fail "without a process"

# Its name is no element.
cp "$worker" "$tmp/<i id=evil>&x"
start "$tool" run --limit 48M --stats -- "$tmp/<i id=evil>&x"
evil=$pid
wait_for_worker "$evil"
start "$fake" grows
growing=$pid
# A child of a child, where the one between has no statistics.
# shellcheck disable=SC2016
start "$tool" run --stats -- sh -c 'OOMRECLAIM_CONF=stats:false sh -c "OOMRECLAIM_CONF=stats:true \"\$1\"; :" sh "$1"; :' sh "$worker"
above=$pid
sleep 1
dump
/usr/bin/python3 "$here/web_dom.py" "$tmp/dom" some "$evil" "$growing" "$above" || {
	fail "with processes"
	cat "$tmp/dom"
}
verdict
