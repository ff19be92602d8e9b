"""Live migration: the two sides of Move-VM."""

import dataclasses
import json
import logging
import threading

from . import paths
from .base import Base, answers
from .errors import JOB_UNFINISHED, HyperVError
from .events import MIGRATED
from .executor import Unhurried
from .planner import migration
from .spec import Spec
from .steps import VM, File, Script

log = logging.getLogger("vmops_plugin.hyperv")

RECORDS = "_vmops"
LOOK = 0.25             # seconds between looks at the progress


class Migration(Base):
    def _prepare_migration(self):
        self._arriving = set()

    def arriving(self):
        return self._arriving

    def _record(self, uuid):
        return paths.join(self.map.host_root, RECORDS, uuid + ".json")

    def _settings(self, request):
        return self.runner.run(Script("hostInfo", root=self.map.host_root), request)

    def _read_spec(self, spec):
        return Spec(dataclasses.asdict(spec), self.map, self.options.generation)

    # The destination

    @answers
    def migrate_check_incoming(self, request, spec, copy_storage, destination):
        read = self._read_spec(spec)
        for each in self.inventory(request):
            if each.uuid == read.uuid:
                raise HyperVError("already_exists", "machine %s is here already" % read.uuid)
        return {migration.TICKET: migration.offer(self._settings(request), read, copy_storage, self.map.host_root,
                                                  self.options.share)}

    @answers
    def migrate_prepare_incoming(self, request, spec, ticket):
        read = self._read_spec(spec)
        offer = migration.read_offer(ticket)
        files = self.runner.files
        record = self._record(read.uuid)
        kept = {"uuid": read.uuid, "directory": read.directory,
                # Only what this preparation made is taken away when it is given up.
                "made": bool(offer["copy_storage"]) and not files.exists(read.directory)}
        if files.exists(record):
            kept["made"] = json.loads(files.read(record, 0, 65536).decode()).get("made", False)
        plan = migration.prepare_incoming(read, self.inventory(request), record, json.dumps(kept).encode())
        self.executor.run(plan, request)
        self._arriving.add(read.uuid)
        return ticket

    @answers
    def migrate_finish_incoming(self, request, uuid):
        machine = self.look(request, uuid)
        if machine is None:
            raise HyperVError("not_found", "machine %s has not arrived" % uuid)
        self.executor.run([File("remove", self._record(uuid))], request)
        self._arriving.discard(uuid)

    @answers
    def migrate_abandon_incoming(self, request, uuid):
        record = self._record(uuid)
        files = self.runner.files
        directory = None
        if files.exists(record):
            kept = json.loads(files.read(record, 0, 65536).decode())
            if kept.get("made"):
                directory = kept["directory"]
        self.executor.run(migration.abandon(uuid, directory, record, self.look(request, uuid)), request)
        self._arriving.discard(uuid)

    # The source

    @answers
    def migrate_check_outgoing(self, request, uuid, ticket):
        machine = self.settled(request, uuid)
        offer = migration.read_offer(ticket)
        plan = migration.check_outgoing(machine, self._settings(request), offer)
        problems = self.executor.run(plan, request)[0].get("Incompatibilities") or []
        if problems:
            raise HyperVError("invalid_argument", "the destination does not take the machine: " + "; ".join(problems))
        return ticket

    @answers
    def migrate_start(self, request, uuid, ticket):
        """Until the machine runs there. Cancelled, or too late: the move is ended, and what became of it decides."""
        machine = self.look(request, uuid)
        if machine is None:
            raise HyperVError("not_found", "there is no machine " + uuid)
        plan = migration.start(machine, migration.read_offer(ticket))
        request.progress(phase="setup", transferred_bytes=0, remaining_bytes=(machine.memory_mb or 0) << 20)
        self.tracker.intend(machine.id, MIGRATED)
        outcome = {}

        def move():
            try:
                # Not the request's: what Hyper-V has begun is ended by ending its job, not by looking away.
                self.executor.run(plan, Unhurried(seconds=None))
            except Exception as error:
                outcome["error"] = error
            outcome["done"] = True

        thread = threading.Thread(target=move, name="migration", daemon=True)
        thread.start()
        stopped = self._follow(request, machine, thread)
        error = outcome.get("error")
        if error is not None:
            present = self._read(Unhurried(), machine.id)
            if present is not None:
                self.tracker.intend(machine.id, None)
                raise stopped or error
            log.warning("the move of %s failed after the machine had gone: %s", uuid, error)
        self.tracker.gone(machine.id, MIGRATED)
        self.console_stopped(uuid, "migrated")
        request.progress(phase="completed", transferred_bytes=(machine.memory_mb or 0) << 20, remaining_bytes=0)

    def _follow(self, request, machine, thread):
        """Tells the progress while the move goes on; gives the reason when the request was stopped."""
        total, stopped, switching = (machine.memory_mb or 0) << 20, None, False
        while thread.is_alive():
            try:
                request.check()
                thread.join(LOOK)
            except Exception as reason:
                if stopped is None:
                    stopped = reason
                thread.join(LOOK)
            if not thread.is_alive():
                break
            try:
                if stopped is not None:
                    # Again and again: the job may not have been there yet.
                    self.runner.run(Script("cancelJobs", vm=VM(machine.id)), Unhurried())
                    continue
                jobs = self.runner.run(Script("jobs", vm=VM(machine.id)), Unhurried()).get("jobs") or []
            except Exception as error:
                log.debug("while a machine moves: %s", error)
                continue
            percent = max([each["percent"] for each in jobs if each["state"] in JOB_UNFINISHED] or [0])
            done = total * percent // 100
            if percent >= 99 and not switching:
                switching = True
            request.progress(phase="switchover" if switching else "precopy", transferred_bytes=done,
                             remaining_bytes=total - done)
        return stopped

    @answers
    def migrate_finish_outgoing(self, request, uuid):
        """Hyper-V has removed the machine and its disks itself; the directory goes with `instance.removeFiles`."""
        machine = self.look(request, uuid)
        if machine is not None and machine.state in ("running", "paused"):
            raise HyperVError("invalid_state", "machine %s runs here" % uuid, {"state": machine.state})
        self.executor.run([Script("removePlanned", uuid=uuid)], request)

    @answers
    def migrate_take_back(self, request, uuid):
        """Nothing of a machine that has left is kept by Hyper-V: only one that never left can go on here."""
        if self.look(request, uuid) is None:
            raise HyperVError("not_found", "nothing of machine %s is left here" % uuid)
