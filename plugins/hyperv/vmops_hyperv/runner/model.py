"""A Hyper-V host in memory: carries out the same steps as PowerShell does.

It has the states and return values of the landscape, section D.4, jobs that take time, devices where New-VM puts them,
differencing disks, checkpoints, planned machines, guests that print and shut down, and faults on demand. What it does
is what is known of Hyper-V; what nobody has seen on a real host is listed in the README.
"""

import copy
import threading
import time
import uuid as uuids

from .. import errors, states
from ..errors import HyperVError
from ..pipe import MemoryPipe, MemoryPipes
from . import model_cmdlets
from .model_files import ModelFiles
from .world import World

# The states on the way, as EnabledState shows them.
STARTING, SAVING, STOPPING, PAUSING, RESUMING, MIGRATING = 32770, 32773, 32774, 32776, 32777, 32779

BOOT = b"\r\nvmops modelled guest\r\nKernel is alive\r\n"
LOGIN = b"login: "
PIPE_BUFFER = 4 << 20           # nobody knows whether a guest waits or loses what is not read; this one loses, late


class Fault:
    """Makes the `number`-th step whose text begins with `step` fail: by an error code, a return value, or a job that
    ends in the state `job` with `job_error`."""

    def __init__(self, step, number=1, error=None, value=None, job=None, job_error=None):
        self.step, self.number = step, number
        self.error, self.value, self.job, self.job_error = error, value, job, job_error

    def is_due(self, text):
        if not text.startswith(self.step) or self.number < 1:
            return False
        self.number -= 1
        return self.number == 0


class Settings:
    """What kind of host, and how long things take; seconds."""

    name = "hyperv1"
    id = None
    version = "10.0.17763"
    memory_mb = 262144
    sockets, cores, threads = 2, 8, 16
    switches = (("External", "External"), ("Private", "Private"))
    migration_enabled = True
    authentication = "Kerberos"
    any_network = True
    networks = ()
    member = True
    service = "Running"
    root = "C:\\VMs"
    foreign = ()                    # names of machines that somebody else has made, and that run
    images = (("cirros", "vhdx", 64 << 20), ("cirros-vhd", "vhd", 64 << 20))
    job_seconds = 0.02
    save_seconds = 0.05
    move_seconds = 0.3
    boot_seconds = 0.05
    shutdown_seconds = 0.2          # from the request to off; negative: the guest never does
    has_shutdown_component = True
    line_seconds = 0.0              # a line on the console each; 0: none

    def __init__(self, **changes):
        for name, value in changes.items():
            if not hasattr(Settings, name):
                raise TypeError("no such setting: " + name)
            setattr(self, name, value)
        if self.id is None:
            self.id = str(uuids.uuid5(uuids.NAMESPACE_DNS, self.name))


def _foreign(host, name):
    """A machine as somebody makes one by hand."""
    return {"id": str(uuids.uuid5(uuids.NAMESPACE_DNS, name + "." + host)).upper(), "name": name, "notes": "do not touch",
            "state": states.ENABLED, "generation": 1, "path": "D:\\Machines", "startup": 1 << 30, "dynamic": False,
            "maximum": None, "processors": 1, "com": {}, "metering": False, "planned": False, "drives": [],
            "adapters": [], "checkpoints": [], "job": None, "booted_at": 0, "firmware": {}, "scsi": 1}


class ModelRunner:
    """`clock` gives seconds. With `ticking`, a thread makes happen what is due; without, `settle` does, and every step."""

    def __init__(self, settings=None, world=None, clock=time.time, ticking=True):
        self.settings = settings or Settings()
        self.world = world or World()
        self.world.enter()
        self.clock = clock
        self.pipes = MemoryPipes()
        self.faults = []
        self.log = []
        self._watchers = []
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._is_closed = False
        self.files = ModelFiles(self)
        self._begin()
        if ticking:
            threading.Thread(target=self._tick, name="model", daemon=True).start()

    # Remembering

    @property
    def host(self):
        return self.settings.name.lower()

    def machines(self):
        return [value for _, value in self.world.all(self.host, "machine")]

    def machine(self, id):
        machine = self.world.get(self.host, "machine", str(id).lower())
        if machine is None or machine["planned"]:
            raise errors.record_error({"id": "VmNotFound", "category": "ObjectNotFound",
                                       "message": "there is no such virtual machine"}, "Get-VM")
        return machine

    def save(self, machine):
        self.world.put(self.host, "machine", machine["id"], machine)

    def forget(self, machine):
        self.world.remove(self.host, "machine", machine["id"])

    def _begin(self):
        """A host with images in its cache; the pipes of machines that run already."""
        with self.world.change():
            for name in self.settings.foreign:
                if not any(each["name"] == name for each in self.machines()):
                    self.save(_foreign(self.host, name))
            self.files.make_directory(self.settings.root + "\\_base")
            for name, format, size in self.settings.images:
                path = "%s\\_base\\%s.%s" % (self.settings.root, name, format)
                if not self.files.exists(path):
                    self.files.put_disk(path, format, "dynamic", size)
        for machine in self.machines():
            if machine["state"] not in (states.DISABLED, states.OFFLINE) and not machine["planned"]:
                self._serve(machine)

    # Steps

    def run(self, step, request):
        text = step.text()
        request.check()
        fault = None
        with self._lock:
            self.log.append(text)
            for each in self.faults:
                if each.is_due(text):
                    fault = each
        if fault is not None and fault.error:
            raise HyperVError(fault.error, "a fault was asked for: " + text)
        if step.kind == "file":
            with self.world.change():
                return self.files.run(step, request)
        self.settle()
        if step.kind == "cmdlet":
            if step.name == "Move-VM":
                return model_cmdlets.move(self, step.parameters, request)
            with self.world.change():
                return model_cmdlets.run(self, step)
        if step.kind == "invoke":
            with self.world.change():
                return self._invoke(step, fault)
        with self.world.change():
            return model_cmdlets.script(self, step.name, step.values)

    def _invoke(self, step, fault):
        machine = self.machine(step.vm.id)
        if fault is not None and fault.value is not None:
            return {"found": True, "value": fault.value}
        if step.method == "RequestStateChange":
            return self._request(machine, step.arguments["RequestedState"], fault)
        return self._shut_down(machine)

    # States (section D.4)

    CHANGES = {
        # (present, requested): (on the way, then, which time)
        (states.DISABLED, states.REQUEST_ENABLE): (STARTING, states.ENABLED, "job_seconds"),
        (states.OFFLINE, states.REQUEST_ENABLE): (STARTING, states.ENABLED, "job_seconds"),
        (states.QUIESCE, states.REQUEST_ENABLE): (RESUMING, states.ENABLED, "job_seconds"),
        (states.ENABLED, states.REQUEST_DISABLE): (STOPPING, states.DISABLED, "job_seconds"),
        (states.QUIESCE, states.REQUEST_DISABLE): (STOPPING, states.DISABLED, "job_seconds"),
        (states.ENABLED, states.REQUEST_PAUSE): (PAUSING, states.QUIESCE, "job_seconds"),
        (states.ENABLED, states.REQUEST_SAVE): (SAVING, states.OFFLINE, "save_seconds"),
        (states.QUIESCE, states.REQUEST_SAVE): (SAVING, states.OFFLINE, "save_seconds"),
        (states.ENABLED, states.REQUEST_RESET): (None, states.ENABLED, "job_seconds"),
    }

    def _request(self, machine, requested, fault):
        change = self.CHANGES.get((machine["state"], requested))
        if change is None:
            return {"found": True, "value": errors.INVALID_STATE}
        on_the_way, then, seconds = change
        if then == states.ENABLED and requested == states.REQUEST_ENABLE:
            for drive in machine["drives"]:
                if drive["path"] and not self.files.exists(drive["path"]):
                    job = self.start_job(machine, self.settings.job_seconds, None, job=errors.JOB_EXCEPTION,
                                         error=0x80070002, text="the file of a drive is missing (0x80070002)")
                    return {"found": True, "value": errors.JOB_STARTED, "job": job}
        effect = {"state": then, "from": machine["state"], "requested": requested}
        job = self.start_job(machine, getattr(self.settings, seconds), effect,
                             job=fault.job if fault and fault.job else errors.JOB_COMPLETED,
                             error=fault.job_error if fault else None)
        if on_the_way is not None:
            self.set_state(machine, on_the_way)
        return {"found": True, "value": errors.JOB_STARTED, "job": job}

    def start_job(self, machine, seconds, effect, job=errors.JOB_COMPLETED, error=None, text=""):
        name = "Msvm_ConcreteJob"
        record = {
            "id": str(uuids.uuid4()).upper(), "class": name, "machine": machine["id"], "begin": self.clock(),
            "due": self.clock() + seconds, "effect": effect, "then": job, "state": errors.JOB_RUNNING,
            "error": error, "text": text, "before": machine["state"],
        }
        self.world.put(self.host, "job", record["id"], record)
        machine["job"] = record["id"]
        self.save(machine)
        self._wake.set()
        return {"class": name, "id": record["id"]}

    def jobs_of(self, machine):
        return [each for _, each in self.world.all(self.host, "job")
                if each["machine"] == machine["id"] and each["state"] in errors.JOB_UNFINISHED]

    def job(self, id):
        record = self.world.get(self.host, "job", id)
        if record is None:
            return {"found": False}
        span = max(record["due"] - record["begin"], 1e-9)
        percent = 100 if record["state"] != errors.JOB_RUNNING else int(
            min(99, 100 * (self.clock() - record["begin"]) / span))
        return {"found": True, "class": record["class"], "id": id, "state": record["state"], "percent": percent,
                "error_code": record["error"] if record["state"] == errors.JOB_EXCEPTION else 0,
                "description": record["text"], "status": ""}

    def end_job(self, id):
        record = self.world.get(self.host, "job", id)
        if record is None:
            return {"found": False}
        if record["state"] not in errors.JOB_UNFINISHED:
            return {"found": True, "value": errors.INVALID_STATE}
        record["state"] = errors.JOB_KILLED
        self.world.put(self.host, "job", id, record)
        machine = self.world.get(self.host, "machine", record["machine"])
        if machine and machine.get("job") == id:
            machine["job"] = None
            self.set_state(machine, record["before"])
        return {"found": True, "value": errors.DONE}

    def set_state(self, machine, state):
        """Writes the state down, and tells those who watch when it is another one."""
        changed = machine["state"] != state
        machine["state"] = state
        self.save(machine)
        if changed:
            record = {"id": machine["id"], "enabled_state": state}
            for watcher in list(self._watchers):
                watcher(record)

    # The guest

    def _shut_down(self, machine):
        if not self.settings.has_shutdown_component or machine["state"] != states.ENABLED:
            return {"found": False}
        now = self.clock()
        if now < machine["booted_at"] + self.settings.boot_seconds:
            return {"found": True, "value": errors.GUEST_NOT_READY}
        if machine.get("shutdown_at") is not None:
            return {"found": True, "value": errors.SHUTDOWN_IN_PROGRESS}
        if self.settings.shutdown_seconds >= 0:
            machine["shutdown_at"] = now + self.settings.shutdown_seconds
            self.print(machine, b"\r\nshutting down\r\n")
        self.save(machine)
        self._wake.set()
        return {"found": True, "value": errors.DONE}

    def boot(self, machine):
        machine["booted_at"] = self.clock()
        machine["shutdown_at"] = None
        machine["boots"] = machine.get("boots", 0) + 1
        self.print(machine, BOOT + LOGIN)

    def _pipe_name(self, machine):
        return (machine["com"] or {}).get("1")

    def print(self, machine, data):
        name = self._pipe_name(machine)
        pipe = self.pipes.get(name) if name else None
        if pipe is not None:
            pipe.print(data)

    def _serve(self, machine):
        name = self._pipe_name(machine)
        if name and self.pipes.get(name) is None:
            self.pipes.serve(name, MemoryPipe(lambda data, id=machine["id"]: self._typed(id, data), PIPE_BUFFER))

    def _typed(self, id, data):
        """The guest echoes, and understands a few words."""
        with self.world.change():
            machine = self.world.get(self.host, "machine", id)
            if machine is None or machine["state"] != states.ENABLED:
                return
            self.print(machine, data.replace(b"\r", b"").replace(b"\n", b"\r\n"))
            line = machine.get("line", "") + data.decode("utf-8", "replace")
            *complete, machine["line"] = line.replace("\r", "\n").split("\n")
            self.save(machine)
            for words in complete:
                if words.strip() == "poweroff":
                    self.stop(machine)
                elif words.strip() == "reboot":
                    self.boot(machine)
                    self.save(machine)
                elif words.strip() == "crash":
                    self.stop(machine, 32781)
                elif words.startswith("lines ") and words[6:].strip().isdigit():
                    for number in range(1, min(int(words[6:]), 100000) + 1):
                        self.print(machine, b"line %d\r\n" % number)

    def stop(self, machine, state=states.DISABLED):
        machine["shutdown_at"] = machine["booted_at"] = None
        machine["line"] = ""
        self.set_state(machine, state)
        name = self._pipe_name(machine)
        if name:
            self.pipes.remove(name)

    # Time

    def settle(self):
        """Makes happen what is due."""
        with self._lock, self.world.change():
            now = self.clock()
            for id, job in self.world.all(self.host, "job"):
                if job["state"] == errors.JOB_RUNNING and job["due"] <= now and job["effect"] != "move":
                    self._finish(id, job)
                elif job["state"] not in errors.JOB_UNFINISHED and job["due"] + 60 < now:
                    self.world.remove(self.host, "job", id)
            for machine in self.machines():
                if machine["state"] == states.ENABLED and machine.get("shutdown_at") is not None \
                        and machine["shutdown_at"] <= now:
                    self.stop(machine)
                elif machine["state"] in (states.ENABLED, states.QUIESCE) and not machine["planned"]:
                    self._serve(machine)        # it may have arrived from another process

    def _finish(self, id, job):
        machine = self.world.get(self.host, "machine", job["machine"])
        job["state"] = job["then"]
        self.world.put(self.host, "job", id, job)
        if machine is None:
            return
        if machine.get("job") == id:
            machine["job"] = None
        if job["then"] not in errors.JOB_DONE or not job["effect"]:
            self.set_state(machine, job["before"])
            return
        effect = job["effect"]
        if effect["state"] == states.ENABLED:
            if effect["from"] in (states.DISABLED, states.OFFLINE):
                self._serve(machine)
            if effect["from"] == states.DISABLED or effect["requested"] == states.REQUEST_RESET:
                self.boot(machine)
            elif machine.get("booted_at") is None:
                machine["booted_at"] = self.clock()
            self.set_state(machine, states.ENABLED)
        elif effect["state"] in (states.DISABLED, states.OFFLINE):
            self.stop(machine, effect["state"])
        else:
            self.set_state(machine, effect["state"])

    def _tick(self):
        next_line = self.clock() + self.settings.line_seconds
        number = 0
        while not self._is_closed:
            self._wake.wait(0.02)
            self._wake.clear()
            if self._is_closed:
                return
            try:
                self.settle()
                if self.settings.line_seconds and self.clock() >= next_line:
                    next_line += self.settings.line_seconds
                    number += 1
                    for machine in self.machines():
                        if machine["state"] == states.ENABLED:
                            self.print(machine, b"line %d\r\n" % number)
            except Exception:
                if not self._is_closed:
                    raise

    # Watching

    def watch(self, changed, lost):
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed) if changed in self._watchers else None

    def close(self):
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._wake.set()
        self.world.leave()

    def copy_of(self, machine):
        return copy.deepcopy(machine)
