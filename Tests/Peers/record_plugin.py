"""Stands between a worker and a plugin: `record_plugin.py FILE COMMAND...` writes each message as a line of FILE.

A line is a JSON object with `from` (`worker` or `plugin`) and `message`.
"""

import json
import os
import struct
import subprocess
import sys
import threading

LOCK = threading.Lock()


def relay(read, write, side, record):
    buffer = b""
    while True:
        piece = os.read(read, 65536)
        if not piece:
            break
        os.write(write, piece) if len(piece) < 4096 else write_all(write, piece)
        buffer += piece
        while len(buffer) >= 5:
            length, kind = struct.unpack(">IB", buffer[:5])
            if len(buffer) < 4 + length:
                break
            if kind == 1:
                with LOCK:
                    line = {"from": side, "message": json.loads(buffer[5:4 + length])}
                    record.write(json.dumps(line) + "\n")
                    record.flush()
            buffer = buffer[4 + length:]
    os.close(write)


def write_all(descriptor, data):
    while data:
        data = data[os.write(descriptor, data):]


def main():
    record = open(sys.argv[1], "a")
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    arguments = (child.stdout.fileno(), 1, "plugin", record)
    answers = threading.Thread(target=relay, args=arguments)
    answers.start()
    relay(0, child.stdin.fileno(), "worker", record)
    answers.join()
    os._exit(child.wait())


main()
