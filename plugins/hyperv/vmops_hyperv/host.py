"""The Hyper-V host as the SDK wants it."""

import logging
import os
import threading

import vmops_plugin as vmops

from . import __version__, states
from .base import answers
from .errors import HyperVError
from .events import Tracker
from .executor import Executor, Unhurried
from .files import LocalFiles
from .host_console import Consoles
from .host_devices import Devices
from .host_disks import Disks
from .host_machines import Machines
from .host_migration import Migration
from .options import Options
from .paths import PathMap
from .steps import Script

log = logging.getLogger("vmops_plugin.hyperv")

ARCHITECTURES = {0: "i686", 5: "arm", 9: "x86_64", 12: "aarch64"}
SHORTEST_POLL = 1.0


def version_number(text):
    """`10.0.17763` → 10000: major × 1000 + minor."""
    parts = (text.split(".") + ["0", "0"])[:2]
    return int(parts[0]) * 1000 + int(parts[1]) if all(part.isdigit() for part in parts) else 0


class HyperVHost(Machines, Disks, Devices, Consoles, Migration):
    """`forced` are options of the command line, which come before the worker's; `runner` and `opener` are for tests."""

    plugin_name = "vmops-hyperv"
    plugin_version = __version__
    disk_formats = ("vhdx", "vhd")
    network_types = ("bridge", "hyperv", "ovs")
    flags = ("machine.pause", "machine.save", "disk.cow", "disk.resizeDifferencing", "console.preboot",
             "migrate.live.storage", "migrate.live.cancel", "migrate.live.paused", "host.events")
    remote_files = True
    max_parallel = 8

    def __init__(self, forced=None, runner=None, opener=None):
        self._forced, self._runner, self._opener = forced or {}, runner, opener
        self._ending = threading.Event()
        self._nudge = threading.Event()
        self._stop_watch = lambda: None
        self._is_watched = False
        self._is_subscribed = False
        self._prepare_base()
        self._prepare_consoles()
        self._prepare_migration()

    # Life

    @answers
    def open(self, setup):
        self.options = Options(setup.options, self._forced)
        self.map = PathMap(setup.instances_directory, self.options.instances_directory, self.options.images_directory)
        self.tracker = Tracker(self._tell)
        self.runner = self._runner or self._make_runner(setup)
        self.executor = Executor(self.runner)
        self.opener = self._opener or self._make_opener()
        info = self._host_info(Unhurried(30))
        self.identity = vmops.HostIdentity(
            id=self.options.host_id or info["id"], name=info["name"], hypervisor_type="hyperv",
            hypervisor_version=version_number(info["version"]))
        return self.identity

    def _make_runner(self, setup):
        options = self.options
        if options.runner == "model":
            from .runner.model import ModelRunner, Settings
            from .runner.world import World
            path = options.model_world or os.path.join(setup.state_directory, "model.db")
            settings = Settings(name=options.model_host or setup.host, root=options.instances_directory,
                                line_seconds=options.model_line_ms / 1000,
                                foreign=tuple(name for name in (options.model_foreign,) if name))
            return ModelRunner(settings, World(path))
        if options.runner == "replay":
            from .runner.replay import ReplayRunner
            return ReplayRunner.load(options.recording, LocalFiles())
        from .runner.powershell import PowerShellRunner
        return PowerShellRunner(options.powershell, LocalFiles(), options.processes)

    def _make_opener(self):
        if hasattr(self.runner, "pipes"):
            return self.runner.pipes
        if os.name == "nt":
            from .pipe_windows import PipeOpener
            return PipeOpener(self.options.serve_pipes)
        raise HyperVError("unavailable", "named pipes are reached from Windows only: start the plugin on the "
                          "Hyper-V host",
                          retryable=False)

    def close(self):
        self._ending.set()
        self._nudge.set()
        self.close_consoles()
        self._stop_watch()
        if hasattr(self, "runner"):
            self.runner.close()

    # Host

    def _host_info(self, request):
        return self.runner.run(Script("hostInfo", root=self.map.host_root), request)

    @answers
    def host_info(self, request):
        info = self._host_info(request)
        gib = 1 << 30
        return vmops.HostInfo(
            vcpus=info["sockets"] * info["threads"], memory_mb=info["memory_mb"], memory_used_mb=info["memory_used_mb"],
            disk_gb=info["disk_bytes"] // gib, disk_used_gb=(info["disk_bytes"] - info["disk_free_bytes"]) // gib,
            hypervisor_type="hyperv", hypervisor_version=version_number(info["version"]),
            hypervisor_hostname=info["name"],
            cpu=vmops.CPUInfo(
                architecture=ARCHITECTURES.get(info["architecture"], "x86_64"), model=info["processor"].strip(),
                vendor=info["manufacturer"], sockets=info["sockets"], cores=info["cores"],
                threads=max(1, info["threads"] // max(1, info["cores"])), features=[]))

    @answers
    def host_probe(self, request):
        """Rights (landscape, section D.2): the group, and whether the management service is visible."""
        found = self.runner.run(Script("probe"), request)
        if found["service"] != "Running":
            raise HyperVError("unavailable", "the service vmms (Hyper-V Virtual Machine Management) is " +
                              found["service"].lower())
        if not found["visible"]:
            raise HyperVError("unauthorized", "%s may not manage Hyper-V: add the account to the group Hyper-V "
                              "Administrators (S-1-5-32-578)" % found["user"])
        if not found["member"]:
            log.warning("%s is in neither Hyper-V Administrators nor Administrators", found["user"])

    # Events

    @answers
    def events_subscribe(self, request):
        if self._is_subscribed:
            return
        self._is_subscribed = True
        self._start_watch()
        self.inventory(request)
        threading.Thread(target=self._poll, name="poll", daemon=True).start()

    def _start_watch(self):
        try:
            self._stop_watch = self.runner.watch(self._changed, self._lost)
            self._is_watched = True
        except HyperVError as error:
            log.warning("no events from Hyper-V, it is polled: %s", error)
            self._is_watched = False

    def _lost(self):
        self._is_watched = False
        self._nudge.set()

    def _changed(self, record):
        if record.get("gone") or not self.tracker.see_state(record["id"], record["enabled_state"],
                                                            record.get("uptime_ms")):
            self._nudge.set()           # a machine that is new, or gone: the inventory tells

    def _poll(self):
        """Mends what events missed. Without events it is all there is, and comes every second."""
        failures = 0
        while not self._ending.is_set():
            pause = self.options.poll_seconds if self._is_watched else SHORTEST_POLL
            self._nudge.wait(min(pause * (1 << min(failures, 5)), 60))
            self._nudge.clear()
            if self._ending.is_set():
                return
            try:
                self.inventory(Unhurried(60))
                failures = 0
                if not self._is_watched:
                    self._start_watch()
            except Exception as error:
                if self._ending.is_set():
                    return
                failures += 1
                log.warning("the inventory: %s", error)

    def _tell(self, uuid, incarnation, type, reason):
        if type in ("stopped", "saved", "crashed", "removed", "migrated-out"):
            self.console_stopped(uuid, "migrated" if type == "migrated-out" else "stopped")
        if self._is_subscribed:
            self.emit(uuid, type, reason=reason, incarnation=incarnation)


__all__ = ["HyperVHost", "states"]
