# SPDX-License-Identifier: BSD-2-Clause
"""web_dom.py DOM none | DOM some EVIL GROWING ABOVE: what web.sh has had Chromium make of the page is what it should be."""
import html.parser
import re
import sys


class Dom(html.parser.HTMLParser):
    """Texts of the elements that have an id, and the table's rows."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.rows, self.open, self.points, self.lines = {}, [], [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "link", "br", "line", "polyline"):
            self.open.append((tag, attributes.get("id")))
        if "id" in attributes:
            self.ids[attributes["id"]] = ""
        if tag == "polyline":
            self.points = len(attributes["points"].split())
        self.lines += tag == "line"
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            depth = re.search(r"padding-left: ([0-9.]+)rem", attributes.get("style", ""))
            self.rows[-1].append("" if not depth else " " * round((float(depth[1]) - 0.6) / 1.2))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, name in self.open:
            if name is not None:
                self.ids[name] += data
        if any(tag == "td" for tag, _ in self.open):
            self.rows[-1][-1] += data


with open(sys.argv[1], encoding="utf-8") as file:
    dom = Dom(file.read())
rows = [row for row in dom.rows if row]
if sys.argv[2] == "none":
    assert rows == [] and dom.ids["state"].startswith("no process shares statistics; start one with "), dom.ids
    sys.exit()
evil, growing, above = sys.argv[3:]
by_pid = {row[1]: row for row in rows}
assert len(rows) == 4 and "evil" not in dom.ids, (rows, dom.ids)
assert re.fullmatch(r"4 processes, [0-9.]+M charged", dom.ids["state"]), dom.ids["state"]
assert by_pid[evil][0] == "<i id=evil>&x" and by_pid[evil][4] == "48.0M", by_pid
assert by_pid[growing][2:6] == ["35.0M", "35% ", "100.0M", "1m5s"], by_pid
# Without a limit there is no share of it. The child is right behind its parent.
assert by_pid[above][0] == "sh" and by_pid[above][3:6] == ["", "none", "-"], by_pid
child = rows[rows.index(by_pid[above]) + 1]
assert child[0] == " worker" and child[8] == "1", rows
# Of the one that has the most the rest is shown, and the page has looked more than once.
roots = [row for row in rows if not row[0].startswith(" ")]
assert dom.ids["name"].startswith(f"{roots[0][0]} ({roots[0][1]})"), dom.ids["name"]
assert roots[0][1] == evil and dom.lines == 1 and dom.points >= 2, (roots, dom.lines, dom.points)
assert re.search(r"^[0-9-]+ [0-9:.]+ +\d+ verdict +NULL, for 18446744073709551615 bytes", dom.ids["events"], re.M), dom.ids
