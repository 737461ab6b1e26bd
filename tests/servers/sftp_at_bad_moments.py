#!/usr/bin/env python3
"""An SFTP server that fails once, at a hard link: usage MODE FLAG.

`forget`: the link is made, its answer is lost with the connection. `drop`: the connection is lost before the link is
made. `hang`: the link is made, and nothing is ever said again. `rival`: as `drop`, and somebody else takes the name.
FLAG is a file that is there once it has failed.
"""
import os
import subprocess
import sys
import threading

mode, flag = sys.argv[1:3]
server = subprocess.Popen(["/usr/lib/openssh/sftp-server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
silent = threading.Event()


def packet(stream):
    head = stream.read(4)
    if len(head) < 4:
        return None
    return head + stream.read(int.from_bytes(head, "big"))


def strings(request):
    """The strings of an extended request: its name, and two paths."""
    found, at = [], 9
    while at < len(request):
        length = int.from_bytes(request[at : at + 4], "big")
        found.append(request[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def answers():
    while (answer := packet(server.stdout)) is not None:
        if silent.is_set():
            if mode == "hang":
                threading.Event().wait()
            os._exit(1)
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    os._exit(0)


threading.Thread(target=answers, daemon=True).start()
while (request := packet(sys.stdin.buffer)) is not None:
    if b"hardlink@openssh.com" in request and not os.path.exists(flag):
        open(flag, "w").close()
        if mode == "rival":
            with open(strings(request)[2], "wb") as rival:
                rival.write(b"a rival's")
        if mode in ("drop", "rival"):
            os._exit(1)
        silent.set()
    server.stdin.write(request)
    server.stdin.flush()
server.stdin.close()
server.wait()
