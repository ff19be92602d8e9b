"""From libvirt's events to the protocol's: what libvirt does in passing is left out. Pure but for its lock."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple

import vmops_plugin as vmops

import libvirt

#: Firmware that finds itself started by a reset resets once or twice more, and libvirt reports each, also those that
#: were asked for: what comes within so many seconds belongs to the first.
RESET_WINDOW = 2.0

#: For how many seconds a change waits for its events: they come from another thread, and are rarely later.
SETTLE_LIMIT = 5.0

#: A type and, for `stopped`, a reason.
Happening = Tuple[str, Optional[str]]


@dataclass
class _Machine:
    incarnation: int
    state: str
    #: What to tell when it runs: it is started paused, so that its console is connected before it prints.
    starting: Optional[str] = None
    is_saving: bool = False
    #: When it was last reset, or rebooted.
    reset_at: Optional[float] = None
    stopped_by_host: bool = False
    is_arriving: bool = False


class Tracker:
    """Which machines are ours, and what goes on with them. Called from requests and from the event thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Condition()
        self._machines: Dict[str, _Machine] = {}

    def know(self, uuid: str, incarnation: int, state: str) -> None:
        with self._lock:
            self._machines.setdefault(uuid, _Machine(incarnation, state))

    def forget(self, uuid: str) -> None:
        with self._lock:
            self._machines.pop(uuid, None)
            self._lock.notify_all()

    def incarnation(self, uuid: str) -> Optional[int]:
        with self._lock:
            machine = self._machines.get(uuid)
            return machine.incarnation if machine else None

    def expect_start(self, uuid: str, happening: str) -> None:
        with self._lock:
            if uuid in self._machines:
                self._machines[uuid].starting = happening

    def expect_save(self, uuid: str) -> None:
        with self._lock:
            if uuid in self._machines:
                self._machines[uuid].is_saving = True

    def expect_reset(self, uuid: str) -> None:
        with self._lock:
            if uuid in self._machines:
                self._machines[uuid].reset_at = self._clock()

    def expect_nothing(self, uuid: str) -> None:
        """What was expected has failed."""
        with self._lock:
            machine = self._machines.get(uuid)
            if machine is not None:
                machine.starting, machine.is_saving, machine.reset_at = None, False, None

    def settle(self, uuid: str, state: str, limit: float = SETTLE_LIMIT) -> None:
        """Until the events of a change have come, so that they are not taken for those of the next one."""

        def is_settled() -> bool:
            machine = self._machines.get(uuid)
            return machine is None or (machine.state == state and machine.starting is None)

        with self._lock:
            self._lock.wait_for(is_settled, limit)

    def rebooted(self, uuid: str) -> List[Happening]:
        with self._lock:
            machine = self._machines.get(uuid)
            if machine is None:
                return []
            now = self._clock()
            if machine.reset_at is not None and now - machine.reset_at < RESET_WINDOW:
                return []
            machine.reset_at = now
            return [("rebooted", None)]

    def lifecycle(self, uuid: str, event: int, detail: int) -> List[Happening]:
        with self._lock:
            machine = self._machines.get(uuid)
            if machine is None:
                return []
            happenings = self._happenings(machine, event, detail)
            self._lock.notify_all()
            return happenings

    def _happenings(self, machine: _Machine, event: int, detail: int) -> List[Happening]:
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            return self._started(machine, detail)
        if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
            return self._suspended(machine, detail)
        if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
            return self._resumed(machine)
        if event == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN:
            machine.stopped_by_host = detail == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST
            return []
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            return self._stopped(machine, detail)
        if event == libvirt.VIR_DOMAIN_EVENT_CRASHED:
            machine.state = vmops.ERROR
            return [("crashed", None)]
        if event == libvirt.VIR_DOMAIN_EVENT_UNDEFINED and detail == libvirt.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED:
            return [("removed", None)]
        return []

    def _started(self, machine: _Machine, detail: int) -> List[Happening]:
        machine.stopped_by_host, machine.reset_at = False, None
        if detail == libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED:
            machine.is_arriving = True
        if machine.starting is not None or machine.is_arriving:
            return []
        is_restored = machine.state == vmops.SAVED or detail == libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED
        machine.state = vmops.RUNNING
        return [("resumed" if is_restored else "started", None)]

    def _suspended(self, machine: _Machine, detail: int) -> List[Happening]:
        passing = (libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_RESTORED)
        if machine.starting is not None or machine.is_saving or machine.is_arriving or detail in passing:
            return []
        if machine.state == vmops.PAUSED:
            return []
        machine.state = vmops.PAUSED
        return [("paused", None)]

    def _resumed(self, machine: _Machine) -> List[Happening]:
        if machine.is_arriving:
            machine.is_arriving = False
            happening = "migrated-in"
        elif machine.starting is not None:
            happening, machine.starting = machine.starting, None
        elif machine.state == vmops.RUNNING:
            # A save that failed, or a migration. A machine that was paused before it is saved tells that it runs.
            machine.is_saving = False
            return []
        else:
            happening = "resumed"
        machine.state = vmops.RUNNING
        return [(happening, None)]

    def _stopped(self, machine: _Machine, detail: int) -> List[Happening]:
        was_starting, was_arriving = machine.starting is not None, machine.is_arriving
        machine.starting, machine.is_saving, machine.is_arriving = None, False, False
        machine.state = vmops.OFF
        if detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED:
            machine.state = vmops.SAVED
            return [("saved", None)]
        if detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
            return [("migrated-out", None)]
        if was_starting or was_arriving:
            # It never ran.
            return []
        if detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
            return [("stopped", "host" if machine.stopped_by_host else "guest")]
        if detail in (libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED):
            return [("stopped", "crashed")]
        return [("stopped", "requested")]

    def resynchronize(self, present: Dict[str, Tuple[int, str]]) -> List[Tuple[str, int, Happening]]:
        """After a time without events: what must have happened, given each machine's incarnation and state."""
        told: List[Tuple[str, int, Happening]] = []
        with self._lock:
            for uuid, machine in list(self._machines.items()):
                if uuid not in present:
                    del self._machines[uuid]
                    told.append((uuid, machine.incarnation, ("removed", None)))
            for uuid, (incarnation, state) in present.items():
                known = self._machines.setdefault(uuid, _Machine(incarnation, state))
                if known.state != state:
                    happening = _change(known.state, state)
                    self._machines[uuid] = _Machine(incarnation, state)
                    if happening is not None:
                        told.append((uuid, incarnation, happening))
            self._lock.notify_all()
        return told


def _change(before: str, after: str) -> Optional[Happening]:
    if after == vmops.RUNNING:
        return ("started" if before in (vmops.OFF, vmops.ERROR) else "resumed", None)
    return {
        vmops.OFF: ("stopped", "host"),
        vmops.PAUSED: ("paused", None),
        vmops.SAVED: ("saved", None),
        vmops.ERROR: ("crashed", None),
    }.get(after)
