"""A small plugin that keeps its machines in a file, and misbehaves on demand.

Faults are read from the file `faults` in its state directory, one a line: `POINT FAULT [once]`. A point is `start`, or
the name of a method. In the shape `oneshot` it is run as `faulty_plugin.py oneshot METHOD`.
"""

import base64
import json
import os
import struct
import sys
import threading
import time

LOCK = threading.Lock()
STATE = {"directory": "", "seq": 0, "subscribed": False, "streams": {}, "next": 1, "printed": {}, "kept": False}


def send_raw(data):
    with LOCK:
        while data:
            data = data[os.write(1, data):]


def send(message):
    payload = json.dumps(message).encode()
    send_raw(struct.pack(">IB", len(payload) + 1, 1) + payload)


def read_exactly(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def read_message():
    while True:
        length, kind = struct.unpack(">IB", read_exactly(5))
        payload = read_exactly(length - 1)
        if kind == 1:
            return json.loads(payload)


def path(name):
    return os.path.join(STATE["directory"], name)


def fault(point):
    """The fault for this point, if there is one."""
    try:
        lines = open(path("faults")).read().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words and words[0] == point:
            if "once" in words:
                rest = [other for other in lines if other is not line]
                with open(path("faults.new"), "w") as file:
                    file.write("\n".join(rest))
                os.rename(path("faults.new"), path("faults"))
            return words[1]
    return None


def misbehave(name):
    if name == "exit":
        os._exit(3)
    elif name == "kill":
        os.kill(os.getpid(), 9)
    elif name == "hang":
        return True
    elif name == "freeze":
        # The whole process stops, though not at once: nothing is answered meanwhile.
        os.kill(os.getpid(), 19)
        return True
    elif name == "garbage":
        send_raw(b"Traceback (most recent call last):\n\x1b[31m  oops\x07\n")
    elif name == "huge":
        send_raw(struct.pack(">IB", 0x7FFFFFFF, 1) + b"x" * 4096)
    elif name == "empty":
        send_raw(struct.pack(">I", 0))
    elif name == "list":
        send_raw(struct.pack(">IB", 3, 1) + b"[]")
    elif name == "half":
        send_raw(struct.pack(">IB", 100, 1) + b"{")
        os._exit(0)
    elif name == "flood":
        for _ in range(60000):
            event("00000000-0000-0000-0000-0000000000ff", "started")
    elif name == "gaps":
        for _ in range(2000):
            STATE["seq"] += 1
            event("00000000-0000-0000-0000-0000000000ff", "started")
    elif name == "drops":
        for uuid, stream in STATE["streams"].items():
            STATE["printed"][uuid] += b"." * 50000
            for _ in range(50000):
                send({"kind": "dropped", "stream": stream, "bytes": 1})
    elif name == "strange":
        send({"kind": "response", "id": 4711000, "result": {}})
        send({"kind": "progress", "id": 4711000, "phase": "precopy"})
        send({"kind": "dropped", "stream": 4711, "offset": 0, "bytes": 7})
        send({"kind": "end", "stream": 4711, "reason": "because"})
        send({"kind": "pong", "id": 4711})
        send({"kind": "event", "seq": STATE["seq"] + 1, "uuid": "00000000-0000-0000-0000-0000000000ff",
              "type": "enlightened"})
        send_raw(struct.pack(">IBIQ", 20, 2, 4711, 0) + b"strange")
        send_raw(struct.pack(">IB", 8, 77) + b"strange")
    elif name == "gap":
        STATE["seq"] += 5
    elif name == "stderr":
        for number in range(100000):
            os.write(2, b"noise %d\n" % number)
    elif name == "hellotwice":
        send({"kind": "hello"})
    return False


def machines():
    try:
        return json.load(open(path("machines.json")))
    except OSError:
        return {}


def keep(all_machines):
    with open(path("machines.new"), "w") as file:
        json.dump(all_machines, file)
    os.rename(path("machines.new"), path("machines.json"))


def event(uuid, kind, **more):
    if not STATE["subscribed"]:
        return
    STATE["seq"] += 1
    send({"kind": "event", "seq": STATE["seq"], "uuid": uuid, "incarnation": 1, "type": kind, **more})


class Refused(Exception):
    def __init__(self, code, message):
        self.error = {"code": code, "message": message}


def emit(uuid, text):
    """Prints on a machine's console."""
    STATE["printed"][uuid] = STATE["printed"].get(uuid, b"") + text
    stream = STATE["streams"].get(uuid)
    if stream:
        begin = len(STATE["printed"][uuid]) - len(text)
        send_raw(struct.pack(">IBIQ", len(text) + 13, 2, stream, begin) + text)


def answer(method, params):
    all_machines = machines()
    uuid = params.get("uuid") or params.get("spec", {}).get("uuid")
    machine = all_machines.get(uuid)
    if method == "host.info":
        return {
            "vcpus": 4, "memory_mb": 4096, "memory_used_mb": 0, "disk_gb": 10, "disk_used_gb": 0,
            "hypervisor_type": "faulty", "hypervisor_version": 1000, "hypervisor_hostname": "faulty",
        }
    if method in ("host.probe", "configDrive.build", "network.plug", "network.unplug", "console.close"):
        return {}
    if method == "events.subscribe":
        STATE["subscribed"] = True
        return {}
    if method == "machine.list":
        return {"machines": [
            {"name": each["name"], "uuid": key, "state": each["state"], "incarnation": 1}
            for key, each in all_machines.items()
        ]}
    if method == "machine.create":
        all_machines.setdefault(uuid, {"name": params["spec"]["name"], "state": "off"})
        keep(all_machines)
        return {}
    if method == "machine.delete":
        if all_machines.pop(uuid, None):
            keep(all_machines)
            event(uuid, "removed")
        return {}
    if method == "image.get":
        return {"reference": params["reference"], "path": "/dev/null", "format": "raw", "virtual_size": 0}
    if method in ("disk.create", "disk.info"):
        if method == "disk.create":
            open(params["path"], "wb").close()
        elif not os.path.exists(params["path"]):
            raise Refused("not_found", "no such disk")
        size = params.get("virtual_size") or 0
        return {"path": params["path"], "format": "raw", "virtual_size": size, "actual_size": 0}
    if machine is None:
        raise Refused("not_found", "no machine %s" % uuid)
    if method == "machine.get":
        return {"uuid": uuid, "name": machine["name"], "state": machine["state"], "incarnation": 1}
    if method == "machine.setState":
        if machine["state"] != params["state"]:
            machine["state"] = params["state"]
            keep(all_machines)
            if params["state"] == "running":
                event(uuid, "started")
                emit(uuid, b"booting\nlogin: ")
            else:
                event(uuid, "stopped", reason="requested")
        return {"state": machine["state"]}
    if method == "console.open":
        number = STATE["next"]
        STATE["next"] += 1
        STATE["streams"][uuid] = number
        STATE["printed"].setdefault(uuid, b"")
        start = params.get("from")
        if start is None:
            start = 0 if STATE["kept"] else len(STATE["printed"][uuid])
        return {"stream": number, "offset": start}
    if method == "console.write":
        emit(uuid, base64.b64decode(params["base64"]))
        return {}
    raise Refused("unimplemented", method)


def hello(options):
    flags = ["console.output", "console.input", "machine.diagnostics"]
    if options.get("events") != "no":
        flags.append("host.events")
    if options.get("resumable") == "yes":
        flags.append("console.resumable")
    return {
        "kind": "hello", "protocol": "vmops-plugin", "versions": [1], "version": 1,
        "plugin": {"name": "faulty", "version": "1"},
        "host": {"id": options.get("id", "faulty-1"), "name": "faulty", "hypervisor_type": "faulty"},
        "capabilities": {"flags": flags, "disk_formats": ["raw"], "volume_types": [], "network_types": []},
        "limits": {"max_parallel": int(options.get("parallel", "8"))},
    }


def serve(request):
    method = request["method"]
    name = fault(method)
    if name and misbehave(name):
        return
    try:
        if name in ("busy", "unauthorized", "timeout"):
            raise Refused(name, "as told: %s" % request.get("idempotency_key", ""))
        if name == "slow":
            time.sleep(float(os.environ.get("FAULTY_SLOW", "0.3")))
        result = answer(method, request.get("params", {}))
        if name == "nonsense":
            result = {"state": 7}
        send({"kind": "response", "id": request["id"], "result": result})
        if name == "twice":
            send({"kind": "response", "id": request["id"], "error": {"code": "internal", "message": "again"}})
            send({"kind": "progress", "id": request["id"], "phase": "precopy"})
        if method == "console.open" and STATE["kept"]:
            kept = STATE["printed"][request["params"]["uuid"]][result["offset"]:]
            if kept:
                header = struct.pack(">IBIQ", len(kept) + 13, 2, result["stream"], result["offset"])
                send_raw(header + kept)
    except Refused as refusal:
        send({"kind": "response", "id": request["id"], "error": refusal.error})


def main():
    greeting = read_message()
    STATE["directory"] = greeting["state_directory"]
    options = greeting["options"]
    STATE["kept"] = options.get("kept") == "yes"
    with open(path("starts"), "a") as file:
        file.write("%d\n" % os.getpid())
    with open(path("environment"), "w") as file:
        json.dump({
            "environment": dict(os.environ), "descriptors": sorted(os.listdir("/proc/self/fd")),
            "uid": os.getuid(), "groups": os.getgroups(), "pgid": os.getpgid(0), "pid": os.getpid(),
        }, file)
    name = fault("start")
    answer_to = hello(options)
    answer_to["nonce"] = greeting["nonce"]
    if name == "silent":
        time.sleep(600)
    elif name == "nonce":
        answer_to["nonce"] = "another"
    elif name == "version":
        answer_to.pop("version")
        answer_to["versions"] = [7]
        send(answer_to)
        sys.exit(76)
    elif name == "refuse":
        send({"kind": "error", "error": {"code": "unauthorized", "message": "no rights"}})
        sys.exit(1)
    elif name:
        misbehave(name)
    send(answer_to)
    sys.stderr.write('{"level": "warning", "message": "up\\u0007", "where": "here"}\n')
    sys.stderr.flush()
    while True:
        message = read_message()
        if message["kind"] == "request":
            if fault("read") == "never":
                time.sleep(600)
            threading.Thread(target=serve, args=(message,), daemon=True).start()
        elif message["kind"] == "ping":
            send({"kind": "pong", "id": message["id"]})


def oneshot(method):
    document = json.load(sys.stdin)
    STATE["directory"] = document["state_directory"]
    name = fault(method)
    if name == "exit":
        sys.stderr.write("no luck today\n")
        sys.exit(4)
    if name == "hang":
        time.sleep(600)
    if name == "garbage":
        print("not json")
        return
    if method == "hello":
        result = hello(document["options"])
        for member in ("kind", "version"):
            result.pop(member)
        print(json.dumps({"result": result}))
        return
    try:
        print(json.dumps({"result": answer(method, document.get("params", {}))}))
    except Refused as refusal:
        print(json.dumps({"error": refusal.error}))


if __name__ == "__main__":
    if "VMOPS_PLUGIN" not in os.environ:
        sys.exit("this is a plugin")
    oneshot(sys.argv[2]) if sys.argv[1:2] == ["oneshot"] else main()
