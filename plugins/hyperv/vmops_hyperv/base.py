"""What all parts of the host share: the runner, the executor, the machines as they are, and errors for the SDK."""

import functools
import threading
import time

import vmops_plugin as vmops
from vmops_plugin.errors import BY_CODE

from .errors import HyperVError
from .observed import Machine
from .steps import VM, Script

MOST_KNOWN = 100000


def answers(function):
    """The plugin's own errors as those of the SDK."""

    @functools.wraps(function)
    def wrapper(*arguments, **named):
        try:
            return function(*arguments, **named)
        except HyperVError as error:
            raise as_plugin_error(error) from None

    return wrapper


def as_plugin_error(error):
    return BY_CODE[error.code](error.message, details=error.details, retryable=error.retryable)


class Base(vmops.Host):
    """Set up by `host.HyperVHost.open`: `options`, `map`, `runner`, `executor`, `tracker`, `identity`."""

    def _prepare_base(self):
        self._ids = {}
        self._ids_lock = threading.Lock()
        self._last_incarnation = 0
        self._named_locks = {}

    def alone(self, name):
        """A lock for what only one request at a time may make, such as a file of the image cache."""
        with self._ids_lock:
            return self._named_locks.setdefault(name.lower(), threading.Lock())

    # Machines as they are

    def inventory(self, request):
        """All machines, foreign ones too; what the tracker knew is brought up to date."""
        ticket = self.tracker.ticket()
        answer = self.runner.run(Script("inventory"), request)
        machines = [Machine(each) for each in answer.get("machines") or []]
        self.tracker.see_all([each for each in machines if each.is_ours and each.mark.complete], ticket,
                             self.arriving())
        with self._ids_lock:
            self._ids = {each.uuid: each.id for each in machines if each.is_ours}
        return machines

    def look(self, request, uuid):
        """One of our machines, with its devices; `None` when there is none."""
        with self._ids_lock:
            id = self._ids.get(uuid)
        if id is not None:
            machine = self._read(request, id)
            if machine is not None and machine.uuid == uuid:
                return machine
        self.inventory(request)
        with self._ids_lock:
            id = self._ids.get(uuid)
        if id is None:
            return None
        machine = self._read(request, id)
        return machine if machine is not None and machine.uuid == uuid else None

    def _read(self, request, id):
        ticket = self.tracker.ticket()
        try:
            machine = Machine(self.runner.run(Script("machine", vm=VM(id)), request))
        except HyperVError as error:
            if error.code != "not_found":
                raise
            self.tracker.gone(id)
            return None
        if machine.is_ours and machine.mark.complete:
            self.tracker.see(machine, ticket, machine.uuid in self.arriving())
        return machine

    def need(self, request, uuid):
        """The machine; one whose definition was cut short is none."""
        machine = self.look(request, uuid)
        if machine is None or not machine.mark.complete:
            raise HyperVError("not_found", "there is no machine " + uuid)
        return machine

    def next_incarnation(self):
        """Grows with every definition, over restarts too, without anything that has to be kept."""
        with self._ids_lock:
            self._last_incarnation = max(self._last_incarnation + 1, int(time.time() * 1000))
            return self._last_incarnation

    def switches(self, request):
        from .steps import Cmdlet
        answer = self.runner.run(Cmdlet("Get-VMSwitch", result=("Name", "SwitchType")), request)
        return [(each["Name"], each["SwitchType"]) for each in answer.get("items") or []]

    def arriving(self):
        return ()
