#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""ctl_client.py PID HOW: asks the process as no command would, and prints the answers."""

import ctypes
import glob
import os
import socket
import sys


def find(pid):
    for path in glob.glob(f"/proc/{pid}/task/*/fd/*"):
        try:
            if "/.oomreclaim-control." in os.readlink(path):
                return path
        except OSError:
            pass
    sys.exit("no socket")


def connect(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    return client


def ask(client, request):
    client.send(request)
    return client.recv(1 << 15).decode()


def become_another():
    """Opens files as before, but is another user for whoever is asked who has connected."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setresuid(-1, 65534, -1) != 0:
        sys.exit("not root")
    libc.setfsuid(0)


path = find(int(sys.argv[1]))
how = sys.argv[2]
if how == "whole":
    print(ask(connect(path), b"verbose\0off\0"))
elif how == "half":
    print(ask(connect(path), b"verbose\0of"))
elif how == "too-much":
    print(ask(connect(path), b"report\0" + b"\0" * 10000))
elif how == "nothing":
    print(connect(path).recv(1 << 15).decode())
elif how == "early":
    for _ in range(50):
        connect(path).send(b"report\0")
    print("left")
elif how == "flood":
    held = [connect(path) for _ in range(4)]
    for _ in range(2000):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.setblocking(False)
        try:
            client.connect(path)
            client.send(b"\xff" * 200)
        except OSError:
            pass
    print("flooded")
elif how == "descriptors":
    client = connect(path)
    for _ in range(100):
        client = connect(path)
        socket.send_fds(client, [b"verbose\0off\0"], [0, 1, 2])
        client.recv(1 << 15)
    print(len(glob.glob(os.path.dirname(path) + "/*")))
elif how == "other-user":
    # Before: afterwards that user may not look.
    place = os.open(path, os.O_PATH)
    become_another()
    print(ask(connect(f"/proc/self/fd/{place}"), b"verbose\0off\0"))
