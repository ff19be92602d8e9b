"""Plays PowerShell running the bridge: the same lines, and the ways in which a process can go wrong."""

import base64
import json
import os
import sys
import time


def put(request, body, mark=None):
    text = base64.b64encode(json.dumps(body, ensure_ascii=False).encode()).decode()
    sys.stdout.write("\n@vmops:%s:%s:%s\n" % (mark or request["nonce"], request["id"], text))
    sys.stdout.flush()


def main():
    print("Windows PowerShell, a banner that nobody asked for")
    if "die" in sys.argv:
        sys.stderr.write("the module is missing\n")
        sys.exit(3)
    for line in sys.stdin:
        request = json.loads(base64.b64decode(line).decode())
        if request["operation"] == "hello":
            put(request, {"result": {"edition": "Core", "pid": os.getpid()}})
            continue
        if request["operation"] == "watch":
            put(request, {"result": {"watching": True}})
            put(request, {"result": {"id": "v", "enabled_state": 2}})
            return
        document = request["document"]
        what = document.get("name")
        if what == "pid":
            put(request, {"result": {"pid": os.getpid()}})
        elif what == "exit":
            return
        elif what == "hang":
            time.sleep(600)
        elif what == "noise":
            sys.stdout.buffer.write(b"\xff\xfe stray \x00 @vmops:0000:1:AAAA\n")
            put(request, {"result": {"forged": True}}, mark="0123456789abcdef")
            put(request, {"result": {"ok": True}})
        elif what == "garbage":
            sys.stdout.write("@vmops:%s:%s:not base64!\n" % (request["nonce"], request["id"]))
            sys.stdout.flush()
        elif what in ("list", "number"):
            put(request, [1, 2] if what == "list" else {"result": 7})
        elif what == "error":
            put(request, {"error": {"id": "ObjectNotFound,X", "category": "ObjectNotFound", "message": "gone"}})
        else:
            put(request, {"result": {"document": document}})


main()
