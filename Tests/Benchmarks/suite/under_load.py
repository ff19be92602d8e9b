"""Latency of reads while the same worker runs a thousand slow operations and captures two hundred printing consoles."""

import json
import statistics
import subprocess
import time

from .calls import TOKEN, load, results_of
from .processes import Failure, note, prepare_child
from .servers import Server, vmopsd_with

READ, PRINTING, SLOW = "bbbbbbbb", "cccccccc", "dddddddd"  # beginnings of the uuids of the three kinds of instances
READERS, PRINTERS, OPERATIONS = 64, 200, 1000
LINES_PER_SECOND = 50
OPERATION_SECONDS = 90  # The guests ignore the request to shut down, so a power_off waits as long as it may.
IN_FLIGHT = 8

CONFIGURATION = """
[limits]
max_inflight = %d
[simulated]
shutdown = ignore
vcpus = 4096
""" % (2 * OPERATIONS)


def instance(kind, **more):
    return {"uuid": "%s-0000-4000-8000-%s" % (kind, TOKEN), "name": "%s-%s" % (kind, TOKEN), **more}


def call(method, count, in_flight, **arguments):
    return ["--method", method, "--args", json.dumps(arguments), "--vary", str(count), "--in-flight", str(in_flight)]


def spawn(setting, key, kind, count, metadata):
    machine = instance(kind, memory_mb=64, vcpus=1, root_gb=1, metadata=metadata)
    load(setting, key, [*call("spawn", count, min(count, 32), instance=machine), "--count", str(count),
                        "--timeout", "120"])  # fmt: skip


def read_latency(setting, key, seconds):
    reads = call("get_info", READERS, IN_FLIGHT, instance=instance(READ))
    return load(setting, key, [*reads, "--seconds", str(seconds), "--warmup", "0.3"])


def wait_for_operations(setting, key, slow):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if slow.poll() is not None:
            raise Failure("the slow operations ended at once: %s" % slow.stderr.read().strip()[-200:])
        state = results_of(setting, key, ["--method", "ping", "--args", "{}", "--count", "1"])[0]
        if state["operations"] >= OPERATIONS:
            return
        time.sleep(0.2)
    raise Failure("only %d operations are in progress" % state["operations"])


def measure(setting, rounds, seconds):
    """Figures of the load generator without and with the load; medians of the rounds."""
    note("reads under load: %d operations, %d consoles" % (OPERATIONS, PRINTERS))
    server = Server("vmopsd-loaded", "vmopsd, under load", "bench-loaded", vmopsd_with(CONFIGURATION))
    slow = None
    server.start(setting)
    try:
        spawn(setting, server.key, READ, READERS, {})
        spawn(setting, server.key, SLOW, OPERATIONS, {})
        unloaded = [read_latency(setting, server.key, seconds) for _ in range(rounds)]
        spawn(setting, server.key, PRINTING, PRINTERS, {"sim.lines_per_second": str(LINES_PER_SECOND)})
        operations = call("power_off", OPERATIONS, OPERATIONS, instance=instance(SLOW), timeout=OPERATION_SECONDS,
                          retry_interval=OPERATION_SECONDS)  # fmt: skip
        slow = subprocess.Popen(
            [setting.program("load"), "--url", setting.url, "--key", server.key, *operations,
             "--count", str(OPERATIONS), "--timeout", str(2 * OPERATION_SECONDS)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=prepare_child,
        )  # fmt: skip
        wait_for_operations(setting, server.key, slow)
        loaded = [read_latency(setting, server.key, seconds) for _ in range(rounds)]
        wait_for_operations(setting, server.key, slow)
        return {"unloaded": medians(unloaded), "loaded": medians(loaded)}
    finally:
        if slow:
            slow.kill()
            slow.wait()
        server.kill()


def medians(rounds):
    return {name: statistics.median(figures[name] for figures in rounds) for name in ("rate", "p50_us", "p99_us")}
