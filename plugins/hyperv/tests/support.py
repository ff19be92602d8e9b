"""What the tests share: the way to the packages, requests without a worker, a host on a modelled Hyper-V."""

import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.dirname(HERE)
SDK = os.path.join(os.path.dirname(PLUGIN), "python")
for _path in (PLUGIN, SDK):
    if _path not in sys.path:
        sys.path.insert(0, _path)

from vmops_plugin.model import Setup  # noqa: E402

from vmops_hyperv.errors import HyperVError  # noqa: E402
from vmops_hyperv.host import HyperVHost  # noqa: E402
from vmops_hyperv.observed import Machine  # noqa: E402
from vmops_hyperv.paths import PathMap  # noqa: E402
from vmops_hyperv.runner.model import ModelRunner, Settings  # noqa: E402
from vmops_hyperv.runner.world import World  # noqa: E402
from vmops_hyperv.spec import Mark, Spec  # noqa: E402

WORKER = "/var/lib/vmops/compute1/instances"
UUID = "8b2d4f10-0000-4000-8000-000000000001"
VM_ID = "11111111-2222-3333-4444-555555555555"
PATIENCE = 10.0

MAP = PathMap(WORKER, "C:\\VMs")


class Clock:
    """Time that goes on when somebody waits."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


class Request:
    """A request without a worker; waiting moves the clock of the model."""

    def __init__(self, clock=None, deadline=None, cancel_after=None):
        self.clock, self.limit = clock, deadline
        self.cancel_after = cancel_after
        self.waits, self.told = [], []
        self.lock = threading.Lock()

    deadline = None

    @property
    def is_stopped(self):
        return self.cancel_after is not None and len(self.waits) >= self.cancel_after

    def remaining(self):
        return self.limit

    def check(self):
        if self.is_stopped:
            raise HyperVError("cancelled", "cancelled")

    def wait(self, seconds):
        with self.lock:
            self.waits.append(seconds)
        if self.clock is not None:
            self.clock.now += seconds
        else:
            time.sleep(min(seconds, 0.01))
        if self.limit is not None:
            self.limit -= seconds
            if self.limit <= 0:
                raise HyperVError("timeout", "too late")
        self.check()

    def on_stop(self, action):
        pass

    def progress(self, **members):
        self.told.append(members)


def spec_json(name="instance-00000001", uuid=UUID, disks=None, interfaces=(), **changes):
    directory = WORKER + "/" + name
    value = {
        "uuid": uuid, "name": name, "directory": directory, "memory_mb": 512, "startup_memory_mb": 512, "vcpus": 2,
        "disks": disks if disks is not None else [disk("root", "root.vhdx", "ide", 0, 0, name)],
        "interfaces": list(interfaces), "metadata": {},
    }
    value.update(changes)
    return value


def disk(role, file, bus="scsi", controller=0, unit=0, name="instance-00000001", **more):
    value = {"role": role, "media": "cdrom" if file.endswith(".iso") else "disk", "path": "%s/%s/%s" % (WORKER, name, file),
             "format": file.rsplit(".", 1)[-1], "bus": bus, "controller": controller, "unit": unit}
    value.update(more)
    return value


def nic(id="0f1e2d3c-0000-4000-8000-00000000000a", mac="fa:16:3e:00:00:01", **more):
    return dict({"id": id, "mac": mac, "type": "bridge", "bridge": "External"}, **more)


def read(value, generation=1):
    return Spec(value, MAP, generation)


def machine(state=3, uuid=UUID, name="instance-00000001", complete=True, fingerprint="", **more):
    record = {
        "id": VM_ID, "name": name, "notes": Mark(uuid, 7, fingerprint, complete).text() if uuid else None,
        "enabled_state": state, "path": "C:\\VMs\\" + name, "generation": 1, "drives": [], "adapters": [],
        "checkpoints": [], "memory_mb": 512,
    }
    record.update(more)
    return Machine(record)


class Bench:
    """A HyperVHost in this process, on a model whose clock moves by waiting."""

    def __init__(self, settings=None, world=None, ticking=False, options=None, host="compute1"):
        self.clock = None if ticking else Clock()
        self.model = ModelRunner(settings or Settings(name=host), world or World(), self.clock or time.time, ticking)
        self.host = HyperVHost(forced=options, runner=self.model, opener=self.model.pipes)
        self.events = []
        self.host._send_event = lambda event: self.events.append(
            (event["type"],) + ((event["reason"],) if "reason" in event else ()))
        self.host.setup = Setup(host=host, instances_directory=WORKER, state_directory="/nowhere")
        try:
            self.host.open(self.host.setup)
        except Exception:
            self.model.close()
            raise
        # What has to happen whatever became of a request waits on the same clock.
        if self.clock is not None:
            from vmops_hyperv.executor import Unhurried
            import functools
            import vmops_hyperv.host_machines as machines

            def sleep(seconds):
                self.clock.now += seconds

            self.host.executor.unhurried = functools.partial(Unhurried, sleep=sleep)
            self.machines = machines

    def request(self, **more):
        return Request(self.clock, **more)

    def subscribe(self):
        """Events of the operations alone; nobody polls."""
        self.host._is_subscribed = True

    def create(self, value=None):
        from vmops_plugin.params import Params
        value = value or spec_json()
        for each in value["disks"]:
            target = MAP.place(each["path"], each["format"])
            if each["media"] == "disk" and not self.model.files.exists(target):
                self.model.files.put_disk(target, each["format"], "dynamic", 64 << 20)
            elif each["media"] == "cdrom":
                self.model.files._put(target, {"kind": "data", "base64": ""})
        spec = Params(value, self.host.setup, True).machine()
        self.host.machine_create(self.request(), spec)
        return spec

    def close(self):
        self.host.close()
