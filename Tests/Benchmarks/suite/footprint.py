"""What vmopsd costs while nothing is asked of it, and how that grows with hosts and running instances."""

import json
import os
import statistics
import time
from dataclasses import replace

from .calls import INSTANCE, INSTANCES, TOKEN, load, results_of, spawn_instances
from .processes import Failure, cpu_seconds, memory, note, output_of, wakeups
from .servers import TOPIC, Server, vmopsd, vmopsd_with, write_configuration


def over_time(process, seconds):
    """CPU percentage and wake-ups per second of an idle process."""
    begun, cpu, wakes = time.monotonic(), cpu_seconds(process.pid), wakeups(process.pid)
    time.sleep(seconds)
    elapsed = time.monotonic() - begun
    return {
        "cpu_percent": (cpu_seconds(process.pid) - cpu) / elapsed * 100,
        "wakeups_per_s": (wakeups(process.pid) - wakes) / elapsed,
        **memory(process.pid),
    }


def idle(setting, starts, seconds):
    """One host, no instance: seconds from exec to serving (median of some starts), then memory and CPU."""
    server = Server("vmopsd-idle", "vmopsd, idle", "bench-idle", vmopsd)
    times = []
    for number in range(starts):
        note("idle worker, start %d of %d" % (number + 1, starts))
        times.append(server.start(setting))
        try:
            if number == starts - 1:
                time.sleep(1)
                return {"start_s": statistics.median(times), **over_time(server.process, seconds)}
        finally:
            server.stop()
    raise Failure("no start was asked for")


def stripped_size(setting):
    """Bytes of the program without symbols, as it is shipped."""
    path = os.path.join(setting.directory, "vmopsd.stripped")
    output_of(["strip", "-o", path, setting.swift["vmopsd"]])
    size = os.path.getsize(path)
    os.remove(path)
    return size


def many_instances(setting, count, seconds):
    """One host with `count` running instances."""
    note("%d instances on one host" % count)
    command = vmopsd_with("[simulated]\nvcpus = 4096\nmemory_mb = 16777216\n")
    server = Server("vmopsd-instances-%d" % count, "vmopsd, %d instances" % count, "bench-instances", command)
    server.start(setting)
    try:
        time.sleep(1)
        figures = {"instances": count, "empty_rss": memory(server.process.pid)["rss"]}
        begun = time.monotonic()
        spawn_instances(setting, server.key, count)
        figures["spawns_per_s"] = count / (time.monotonic() - begun)
        time.sleep(2)
        figures.update(over_time(server.process, seconds))
        figures["read"] = load(setting, server.key, reads_of(server, count))
        return figures
    finally:
        server.stop()


def reads_of(server, count):
    return ["--method", "get_info", "--args", json.dumps({"instance": INSTANCE}), "--vary", str(count),
            "--in-flight", "64", "--seconds", "1", "--warmup", "0.3",
            "--watch", "server=%d" % server.process.pid]  # fmt: skip


def many_clients(setting, count, seconds):
    """One host that answers `count` clients in turn, each with a reply queue of its own."""
    note("%d clients" % count)
    server = Server("vmopsd-clients-%d" % count, "vmopsd, %d clients" % count, "bench-clients", vmopsd)
    server.start(setting)
    try:
        spawn_instances(setting, server.key, INSTANCES)
        figures = {"clients": count, "empty_rss": memory(server.process.pid)["rss"]}
        # Some seconds are needed for each of them to have had a turn.
        arguments = reads_of(server, INSTANCES) + ["--clients", str(count), "--seconds", str(seconds)]
        figures["read"] = load(setting, server.key, arguments)
        figures["rss"] = memory(server.process.pid)["rss"]
        return figures
    finally:
        server.stop()


def clients(setting, counts, seconds):
    """`many_clients` for each count; what fails is told and left out."""
    return each(many_clients, setting, counts, seconds)


def instances(setting, counts, seconds):
    """`many_instances` for each count; what fails is told and left out."""
    return each(many_instances, setting, counts, seconds)


def many_hosts(setting, count, seconds):
    """`count` hosts in one process with one running instance each."""
    note("%d hosts in one process" % count)
    hosts = ["bench-%012x" % number for number in range(count)]

    def command(setting, server):
        return [setting.swift["vmopsd"], "--config-file", write_configuration(setting, server.name, hosts)]

    server = Server("vmopsd-%d" % count, "vmopsd, %d hosts" % count, hosts[-1], command)
    every_key = "%s.bench-%s" % (TOPIC, TOKEN)
    # The broker declares some 300 queues a second, four for each host.
    figures = {"hosts": count, "start_s": server.start(setting, limit=30 + count // 20)}
    try:
        time.sleep(1)
        figures["hosts_only_rss"] = memory(server.process.pid)["rss"]
        begun = time.monotonic()
        spawn_instances(setting, every_key, count)
        figures["spawns_per_s"] = count / (time.monotonic() - begun)
        time.sleep(2)
        figures.update(over_time(server.process, seconds))
        read = ["--method", "get_info", "--args", json.dumps({"instance": INSTANCE}), "--vary", str(count)]
        figures["read"] = load(setting, every_key, reads_of(server, count))
        figures["busy_rss"] = memory(server.process.pid)["rss"]
        status = [*read, "--count", str(count), "--in-flight", "16"]
        status[1] = "console_status"
        figures["console"] = console_totals(results_of(setting, every_key, status))
        return figures
    finally:
        server.stop()


def console_totals(results):
    """The sum of every numeric field over all consoles."""
    totals = {"consoles": len(results)}
    for result in results:
        for name, number in result.items():
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                totals[name] = totals.get(name, 0) + number
    return totals


def growth(setting, counts, seconds):
    """`many_hosts` for each count; what fails is told and left out."""
    return each(many_hosts, setting, counts, seconds)


def each(measure, setting, counts, seconds):
    rows, failed = [], {}
    for count in counts:
        try:
            rows.append(measure(replace(setting), count, seconds))
        except Failure as failure:
            failed[str(count)] = str(failure)
            note("%d: %s" % (count, failure))
    return rows, failed
