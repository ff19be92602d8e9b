"""Machines: define, delete, change the state, export."""

import dataclasses
import logging

import vmops_plugin as vmops

from . import paths, states
from .base import Base, answers
from .errors import (DONE, GUEST_NOT_READY, INVALID_STATE, JOB_STARTED, MACHINE_LOCKED, SHUTDOWN_IN_PROGRESS,
                     HyperVError, return_error)
from .executor import Unhurried
from .observed import Machine
from .planner import devices, machines
from .spec import Spec
from .steps import VM, Cmdlet, Script

log = logging.getLogger("vmops_plugin.hyperv")

#: How long a machine that is between two states is watched for when a request names no deadline; seconds.
PATIENCE = 120.0
FIRST_LOOK, LAST_LOOK = 0.05, 1.0


class Machines(Base):
    @answers
    def machine_list(self, request):
        entries = []
        for each in self.inventory(request):
            if each.is_ours and not each.mark.complete:
                continue
            entries.append(vmops.MachineEntry(name=each.name, state=each.state, uuid=each.uuid,
                                              incarnation=each.incarnation if each.is_ours else None))
        return entries

    @answers
    def machine_get(self, request, uuid):
        machine = self.need(request, uuid)
        return vmops.MachineStatus(
            uuid=uuid, name=machine.name, state=machine.state, incarnation=machine.incarnation,
            max_memory_kb=machine.maximum_mb * 1024 if machine.maximum_mb else None,
            memory_kb=machine.memory_mb * 1024 if machine.memory_mb else None,
            cpu_count=machine.processors, has_console=bool(machine.com_port),
        )

    @answers
    def machine_create(self, request, spec):
        read = Spec(dataclasses.asdict(spec), self.map, self.options.generation)
        present = self.inventory(request)
        switches = self.switches(request) if read.interfaces else []
        plan = machines.create(
            read, present, self.next_incarnation(),
            lambda interface: devices.choose_switch(interface, switches, self.options.switch),
            self.map.host_root, self.options.secure_boot, self.options.stop_action)
        if not plan:
            return
        self.executor.run(plan, request)
        self.look(Unhurried(), read.uuid)

    @answers
    def machine_delete(self, request, uuid):
        machine = self.look(request, uuid)
        if machine is not None:
            self.tracker.intend(machine.id, "requested")
        self.executor.run(machines.delete(machine, uuid), request)
        if machine is None:
            return
        if machine.state not in (states.OFF, states.SAVED):
            self.tracker.see_state(machine.id, states.DISABLED)
        self.console_stopped(uuid)
        self.console_forget(machine)
        self.tracker.gone(machine.id)
        with self._ids_lock:
            self._ids.pop(uuid, None)

    @answers
    def machine_set_state(self, request, uuid, state):
        machine = self.settled(request, uuid)
        plan = machines.change_state(machine, state)
        if not plan:
            return machine.state
        if state == states.RUNNING:
            self.console_prepare(machine)
        self.tracker.intend(machine.id, "requested")
        try:
            return self._reach(request, machine, plan, state)
        except Exception:
            self.console_forget(machine)
            raise
        finally:
            self.tracker.intend(machine.id, None)

    def _reach(self, request, machine, plan, state):
        try:
            self.executor.run(plan, request)
        except HyperVError as error:
            now = self.need(Unhurried(), machine.uuid)
            if now.state == state:
                return state                # "invalid state" because it is there (section D.4)
            if error.code == "invalid_state":
                error.details["state"] = now.state
            raise
        deadline, delay = request.remaining(), FIRST_LOOK
        left = PATIENCE if deadline is None else None
        while True:
            now = self.need(request, machine.uuid)
            if now.state == state:
                return state
            if now.state not in (states.TRANSITIONAL, machine.state):
                raise HyperVError("invalid_state", "machine %s became %s, not %s" % (machine.uuid, now.state, state),
                                  {"state": now.state})
            if left is not None:
                left -= delay
                if left <= 0:
                    raise HyperVError("timeout", "machine %s did not become %s" % (machine.uuid, state),
                                      {"state": now.state})
            request.wait(delay)
            delay = min(delay * 2, LAST_LOOK)

    def settled(self, request, uuid):
        """The machine once it is somewhere; a machine on its way is waited for."""
        delay, left = FIRST_LOOK, PATIENCE
        while True:
            machine = self.need(request, uuid)
            if machine.state != states.TRANSITIONAL:
                return machine
            left -= delay
            if left <= 0:
                raise HyperVError("busy", "machine %s is between two states" % uuid, {"state": machine.state})
            request.wait(delay)
            delay = min(delay * 2, LAST_LOOK)

    @answers
    def machine_reset(self, request, uuid):
        machine = self.settled(request, uuid)
        plan = machines.reset(machine)
        self.tracker.intend(machine.id, "reset")
        try:
            self.executor.run(plan, request)
            return self.need(Unhurried(), uuid).state
        except HyperVError as error:
            if error.code == "invalid_state":
                error.details.setdefault("state", self.need(Unhurried(), uuid).state)
            raise
        finally:
            self.tracker.intend(machine.id, None)

    @answers
    def machine_request_shutdown(self, request, uuid, reason):
        machine = self.need(request, uuid)
        if machine.state == states.TRANSITIONAL:
            return "not_ready"
        result = self.executor.run(machines.request_shutdown(machine, reason), request)[0]
        if result.get("found") is False:
            return "unsupported"
        value = result.get("value")
        if value in (DONE, JOB_STARTED, SHUTDOWN_IN_PROGRESS):
            return "accepted"
        if value in (GUEST_NOT_READY, MACHINE_LOCKED):
            return "not_ready"
        if value == INVALID_STATE:
            now = self.need(request, uuid)
            if now.state == states.OFF:
                return "accepted"
            return "not_ready"
        error = return_error(value, "shutting down the guest")
        if error.code == "unimplemented":
            return "unsupported"
        raise error

    @answers
    def machine_cancel_jobs(self, request, uuid):
        machine = self.look(request, uuid)
        if machine is None:
            raise HyperVError("not_found", "there is no machine " + uuid)
        self.runner.run(Script("cancelJobs", vm=VM(machine.id)), request)

    @answers
    def machine_diagnostics(self, request, uuid):
        machine = self.need(request, uuid)
        figures = {name: value for name, value in self.runner.run(
            Script("diagnostics", vm=VM(machine.id)), request).items() if value is not None}
        figures.update({"hyperv_id": machine.id, "enabled_state": machine.enabled_state,
                        "generation": machine.generation, "checkpoints": len(machine.checkpoints)})
        figures.update(self.console_figures(uuid))
        return figures

    @answers
    def machine_export_root_disk(self, request, uuid, path, format):
        machine = self.settled(request, uuid)
        root = machine.root
        if root is None or not root.path:
            raise HyperVError("not_found", "machine %s has no root disk" % uuid)
        target = self.map.place(path, format)
        if self.runner.files.exists(target):
            # A repetition whose first answer was lost: what is there was moved there whole.
            return self.disk_information(request, target, path)
        chain = self.chain(request, root.path)
        work = target + ".work"
        # A checkpoint that an earlier export left behind goes first, and its disk with it.
        if machines.EXPORT_CHECKPOINT in machine.checkpoints:
            self.executor.run([Cmdlet("Remove-VMSnapshot", {
                "VM": VM(machine.id), "Name": machines.EXPORT_CHECKPOINT})], request)
            machine = self.settled(request, uuid)
            chain = self.chain(request, machine.root.path)
        self.executor.run(machines.export_root_disk(machine, chain, target, format, work), request)
        return self.disk_information(request, target, path)

    def chain(self, request, path, most=64):
        """The disk's file and its parents."""
        result = []
        while path:
            if len(result) == most or any(paths.same(path, each) for each in result):
                raise HyperVError("internal", "the disk has too many parents")
            result.append(path)
            answer = self.runner.run(Cmdlet("Get-VHD", {"Path": path}, result=("ParentPath",)), request)
            path = answer.get("ParentPath") or None
        return result


__all__ = ["Machines", "Machine"]
