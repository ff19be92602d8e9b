"""The servers that are compared. A new one needs an entry in `SERVERS` and nothing else."""

import json
import os
import time
from dataclasses import dataclass, field

from .build import HERE
from .processes import Failure, last_line, output_of, start, stop

EXCHANGE = "nova"
TOPIC = "compute"

# What the references answer until vmopsd has shown its own answer.
INFO = {
    "uuid": "bbbbbbbb-0000-4000-8000-000000000000",
    "name": "bench-000000000000",
    "host": "bench-host",
    "state": "running",
    "power_state": 1,
    "task": None,
    "memory_mb": 64,
    "vcpus": 1,
    "root_gb": 1,
}


@dataclass
class Setting:
    """Where the programs are and how the broker is reached."""

    url: str
    directory: str
    python: str = ""
    swift: dict = field(default_factory=dict)
    broker_pid: int = 0
    result: dict = field(default_factory=lambda: dict(INFO))

    def program(self, name):
        return os.path.join(self.directory, name)


@dataclass
class Server:
    name: str
    title: str
    host: str
    command: object  # (Setting, Server) -> argument vector
    needs: object = lambda setting: None  # why it cannot run here, or None
    process: object = None
    log: str = ""

    @property
    def key(self):
        return "%s.%s" % (TOPIC, self.host)

    def start(self, setting, limit=30):
        """Starts it and waits, at most `limit` seconds, until it consumes; returns the seconds that took."""
        self.log = os.path.join(setting.directory, self.name + ".log")
        if os.path.exists(self.log):
            os.remove(self.log)
        command = self.command(setting, self)
        begun = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.process = start(command, self.log)
        waiter = [setting.program("await_queue"), setting.url, self.key, str(limit)]
        watch = start(waiter, self.log, stdout=-1)
        while watch.poll() is None and self.process.poll() is None:
            time.sleep(0.001)
        if self.process.poll() is not None:
            stop(watch)
            reason = last_line(self.log) or "nothing in its log"
            raise Failure("%s ended with status %d: %s" % (self.name, self.process.returncode, reason))
        seen = watch.stdout.read().strip()
        if not seen:
            self.stop()
            raise Failure("%s did not consume from %s within %d s" % (self.name, self.key, limit))
        return (int(seen) - begun) / 1e9

    def kill(self):
        """Ends it without waiting for what it is doing."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        if self.process:
            stop(self.process)
            self.process = None


def echo(program, *flags):
    def command(setting, server):
        return [setting.program(program), "--url", setting.url, "--exchange", EXCHANGE, "--topic", TOPIC,
                "--server", server.host, "--result", json.dumps(setting.result), *flags]  # fmt: skip

    return command


def python_server(setting, server):
    return [setting.python, "-W", "ignore", os.path.join(HERE, "server.py"), "--url", setting.url,
            "--exchange", EXCHANGE, "--topic", TOPIC, "--server", server.host,
            "--result", json.dumps(setting.result)]  # fmt: skip


def write_configuration(setting, name, hosts, more=""):
    """A configuration file of vmopsd for simulated hosts, with a state directory of its own, and empty."""
    state = os.path.join(setting.directory, name + ".state")
    output_of(["rm", "-rf", state])
    os.makedirs(state)
    path = os.path.join(setting.directory, name + ".conf")
    with open(path, "w") as file:
        file.write(
            "[DEFAULT]\ntransport_url = %s\ncontrol_exchange = %s\ncompute_topic = %s\nhosts = %s\n"
            "state_path = %s\nbackend = simulated\n%s" % (setting.url, EXCHANGE, TOPIC, ",".join(hosts), state, more)
        )
    return path


def vmopsd(setting, server):
    return [setting.swift["vmopsd"], "--config-file", write_configuration(setting, server.name, [server.host])]


def vmopsd_with(more):
    """A vmopsd with further lines at the end of its configuration, whose last group is [DEFAULT]."""

    def command(setting, server):
        path = write_configuration(setting, server.name, [server.host], more)
        return [setting.swift["vmopsd"], "--config-file", path]

    return command


def needs_vmopsd(setting):
    return None if "vmopsd" in setting.swift else "vmopsd was not built"


def needs_python(setting):
    return None if setting.python else "no Python environment"


SERVERS = [
    Server("plain", "C echo, plain", "bench-plain", echo("echo_plain")),
    Server("tuned", "C echo, tuned", "bench-tuned", echo("echo_tuned")),
    Server("split", "C echo, tuned, two connections", "bench-split", echo("echo_tuned", "--split")),
    Server("parse", "C echo, parsing", "bench-parse", echo("echo_plain", "--parse")),
    Server("vmopsd", "vmopsd", "bench-host", vmopsd, needs_vmopsd),
    Server("native", "vmopsd, json_parser = native", "bench-native",
           vmopsd_with("json_parser = native\n"), needs_vmopsd),
    Server("python", "Python server", "bench-python", python_server, needs_python),
]
