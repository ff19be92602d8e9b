#!/usr/bin/env python3
"""Runs a program on a pseudo terminal for a test that talks to this one in lines.

A line of standard input is what to type, in base64. A line of standard output is "shown" and what the program showed,
in base64, or "ended", its exit status, and 1 if it left the terminal's settings as they were. The end of standard
input hangs up.
"""

import base64
import fcntl
import os
import pty
import select
import signal
import sys
import termios


def say(*words):
    print(*words)
    sys.stdout.flush()


def main(command):
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    child = os.fork()
    if child == 0:
        take(terminal)
        os.execv(command[0], command)
    keys, pending = [sys.stdin.fileno()], b""
    ended, status = 0, 0
    while not ended:
        # This end of the terminal stays open, so nothing that the program shows is lost when it ends.
        ended, status = os.waitpid(child, os.WNOHANG)
        ready = select.select([controller] + keys, [], [], 0 if ended else 0.05)[0]
        while controller in ready:
            say("shown", base64.b64encode(os.read(controller, 65536)).decode())
            ready = select.select([controller], [], [], 0)[0]
        if keys and keys[0] in ready:
            data = os.read(keys[0], 65536)
            if not data:
                keys = []
                os.kill(child, signal.SIGHUP)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                os.write(controller, base64.b64decode(line))
    say("ended", os.waitstatus_to_exitcode(status), int(termios.tcgetattr(terminal) == before))


def take(terminal):
    """Makes the terminal the controlling one, as login_tty(3) does."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    if terminal > 2:
        os.close(terminal)


if __name__ == "__main__":
    main(sys.argv[1:])
