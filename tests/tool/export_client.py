# SPDX-License-Identifier: BSD-2-Clause
"""export_client.py WHAT HOST PORT [ARGUMENT...]: what export.sh asks of the exporter."""
import json
import re
import socket
import sys
import time

what, host, port, *arguments = sys.argv[1:]
# Longer than the exporter waits for anything.
PATIENCE = 120
REQUEST_S = 10  # in which a request has to come, or the connection is closed: tools/server.c
NAMES = ("command", "unit", "cgroup", "slot")


def connect():
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def rest(connection):
    text = b""
    while got := connection.recv(1 << 16):
        text += got
    return text


def ask(request):
    """The status, the head's fields, and the body."""
    with connect() as connection:
        connection.sendall(request)
        head, _, body = rest(connection).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert fields["Connection"] == "close" and "Content-Type" in fields, fields
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z ]+", first)
    assert match, first
    return int(match[1]), fields, body


def get(path="/metrics"):
    status, fields, body = ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert status == 200 and int(fields["Content-Length"]) == len(body), (status, fields, len(body))
    return fields, body.decode()


LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"'


def metrics(text):
    """{NAME: [({LABEL: VALUE}, NUMBER)]}, where each series is there once, and each metric in one piece."""
    types, found, name = {}, {}, None
    for line in text.splitlines():
        if match := re.fullmatch(r"# HELP (\w+) \S.*", line):
            name = match[1]
            assert name not in types, line
        elif match := re.fullmatch(r"# TYPE (\w+) (gauge|counter)", line):
            assert match[1] == name, line
            types[name] = match[2]
        else:
            match = re.fullmatch(r"(\w+)\{(%s(?:,%s)*)\} ([0-9.e+-]+)" % (LABEL, LABEL), line)
            assert match and match[1] == name, line
            labels = re.findall(LABEL, match[2])
            # In the same order everywhere, and none twice.
            assert tuple(label for label, _ in labels[:4]) == NAMES and len(dict(labels)) == len(labels), line
            assert ("pid" in dict(labels)) == (name == "oomreclaim_process_info"), line
            series = found.setdefault(name, [])
            assert dict(labels) not in [one for one, _ in series], line
            series.append((dict(labels), float(match[match.lastindex])))
    return found


def of(found, name, pid):
    """The value for a process, which is found by its number as Prometheus would: by what it has in common."""
    (info,) = [labels for labels, _ in found["oomreclaim_process_info"] if labels["pid"] == pid]
    key = [info[label] for label in NAMES]
    (value,) = [value for labels, value in found[name] if [labels[label] for label in NAMES] == key]
    return value, info


if what == "worker":
    pid, = arguments
    fields, text = get()
    assert fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", fields
    found = metrics(text)
    value, info = of(found, "oomreclaim_limit_bytes", pid)
    assert value == 48 << 20 and info["command"] == "worker" and info["policy"] == "return", (value, info)
    assert of(found, "oomreclaim_impossible_total", pid)[0] == 1
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as groups:
        paths = [line.rstrip("\n").split(":", 2) for line in groups]
    path = ([path for _, names, path in paths if "memory" in names.split(",")] +
            [path for number, _, path in paths if number == "0"])[0]
    assert info["cgroup"] == path, (info, paths)
    print(f"slot {info['slot']}, unit \"{info['unit']}\"")

elif what == "totals":
    # Arguments: the processes of one total of 128M, the one that gives the labels first. There is another total, and what
    # is charged may still be falling.
    until = time.monotonic() + PATIENCE
    while True:
        found = metrics(get()[1])
        own = [of(found, "oomreclaim_total_own_bytes", pid) for pid in arguments]
        charged, info = of(found, "oomreclaim_total_charged_bytes", arguments[0])
        processes, _ = of(found, "oomreclaim_total_processes", arguments[0])
        if sum(value for value, _ in own) == charged > 0 and processes == len(arguments):
            break
        assert time.monotonic() < until, (own, charged, processes)
        time.sleep(1)
    for name in ("limit_bytes", "charged_bytes", "charged_peak_bytes", "processes", "limit_times_met_total"):
        assert len(found[f"oomreclaim_total_{name}"]) == 2, found[f"oomreclaim_total_{name}"]
    assert of(found, "oomreclaim_total_limit_bytes", arguments[0])[0] == 128 << 20
    assert of(found, "oomreclaim_total_charged_peak_bytes", arguments[0])[0] >= charged
    assert of(found, "oomreclaim_total_limit_times_met_total", arguments[0])[0] == 0
    assert len(found["oomreclaim_total_own_bytes"]) == len(arguments) + 1, found["oomreclaim_total_own_bytes"]
    print(f"command {info['command']}, slot {info['slot']}")

elif what == "print":
    sys.stdout.write(get()[1])

elif what == "json":
    # What the page shows.
    fields, text = get("/data.json")
    assert fields["Content-Type"] == "application/json", fields
    pids = {process["pid"]: process for process in json.loads(text)}
    assert len(pids) == len(json.loads(text)) > 0
    for process in pids.values():
        assert set(process) == {"pid", "parent", "start", "command", "unit", "cgroup", "charged", "limit", "seconds_to_limit",
                                "resident", "failures", "refused", "kills", "events"}, process
        assert process["parent"] == 0 or process["parent"] in pids, process
        assert process["events"].endswith("\n") and process["events"].replace("\n", "").isprintable(), process
        assert process["events"].count("\n") <= 20
    own = pids[int(arguments[0])]
    assert own["limit"] == 48 << 20 and own["refused"] == 1 and " verdict " in own["events"], own
    fields, text = get("/")
    assert fields["Content-Type"] == "text/html; charset=utf-8" and text.endswith("</html>\n"), fields

elif what == "requests":
    # A second host is none of our concern; a field that is none, is.
    for wanted, request in [
            (200, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), (200, "GET /metrics HTTP/1.0\r\n\r\n"),
            (200, "GET /metrics HTTP/1.1\nHost: x\n\n"), (200, "GET /metrics?a=b HTTP/1.1\r\nhOST:x\r\nA-b: \t c\r\n\r\n"),
            (200, "GET http://x:1/metrics HTTP/1.1\r\nHost: x\r\n\r\n"), (200, "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"),
            # More than sockets hold: it is read to its end, or sending it would fail.
            (200, "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n" + "x" * 2097152),
            (404, "GET /metric HTTP/1.1\r\nHost: x\r\n\r\n"), (404, "GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            (404, "GET //metrics HTTP/1.1\r\nHost: x\r\n\r\n"), (404, "GET /" + "x" * 4000 + " HTTP/1.1\r\nHost: x\r\n\r\n"),
            (405, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), (405, "get /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
            (405, "GETS /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), (405, "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n"),
            (400, "\r\n\r\n"), (400, "GET\r\n\r\n"), (400, "GET /metrics\r\n\r\n"), (400, "GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n"),
            (400, "GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "GET /metrics HTTP/1.1 \r\nHost: x\r\n\r\n"),
            (400, "GET /metrics HTTP/1.x\r\nHost: x\r\n\r\n"), (400, "GET metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
            (400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"), (400, "GET /met\x01rics HTTP/1.1\r\nHost: x\r\n\r\n"),
            (400, "GET /metrics HTTP/1.1\r\n\r\n"), (400, "GET /metrics HTTP/1.1\r\nHost x\r\n\r\n"),
            (400, "GET /metrics HTTP/1.1\r\nHost: x\r\n : y\r\n\r\n"), (400, "GET /metrics HTTP/1.1\r\nHost: x\x00\r\n\r\n"),
            (400, "\x00\xff\xfe HTTP/1.1\r\n\r\n"), (431, "GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + "x" * 9000),
            (431, "x" * 8192)]:
        status, fields, body = ask(request.encode("latin-1"))
        assert status == wanted, (wanted, status, request[:80])
        assert ("Allow" in fields) == (status == 405), fields
        assert int(fields["Content-Length"]) == len(body) > 0, (request[:80], fields)
        assert status == 200 or body == f"{status} ".encode() + body[4:-1] + b"\n", body
    # The same head, and no more.
    for path in "/metrics", "/nothing":
        status, fields, body = ask(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status == (200 if path == "/metrics" else 404) and body == b"" and int(fields["Content-Length"]) > 0, fields
    # By bytes.
    with connect() as connection:
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert rest(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    # No request.
    connect().close()
    assert "/metrics" in get("/")[1]

elif what == "slow":
    # More than it takes at a time, all of which begin and go no further.
    began = time.monotonic()
    slow = [connect() for _ in range(50)]
    for one in slow:
        one.sendall(b"GET /metrics HTTP/1.1\r\n")
    # Some that ask and don't read.
    deaf = []
    for _ in range(5):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.settimeout(PATIENCE)
        one.connect((host, int(port)))
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        deaf.append(one)
    for _ in range(20):
        metrics(get()[1])
    # The last ones of them are still there, so nobody has waited for their time to be over.
    left = []
    for number, one in enumerate(slow):
        one.setblocking(False)
        try:
            one.recv(1)
        except BlockingIOError:
            left.append(number)
        except ConnectionResetError:
            pass
        one.settimeout(PATIENCE)
    # Those that have gone were the oldest. On a machine that stands still all may have had their time.
    if left or time.monotonic() - began < REQUEST_S:
        assert 0 < len(left) < len(slow) and left == list(range(left[0], len(slow))), left
    for one in deaf:
        assert b"\r\n\r\n# HELP " in rest(one)
    # They are not kept for ever.
    for one in slow:
        try:
            assert one.recv(1) == b""
        except ConnectionResetError:
            pass

else:
    sys.exit(f"{what}?")
