"""The options that the worker's configuration gives to this plugin; all are texts."""

import logging

from . import paths
from .errors import HyperVError

log = logging.getLogger("vmops_plugin.hyperv")

#: name → default; the README explains them.
DEFAULTS = {
    "host_id": "",
    "runner": "powershell",
    "powershell": "powershell.exe",
    "processes": "4",
    "instances_directory": "C:\\VMs",
    "images_directory": "",
    "share": "",
    "switch": "",
    "generation": "1",
    "secure_boot": "off",
    "stop_action": "Save",
    "console_role": "client",
    "poll_seconds": "10",
    "max_file_bytes": "0",
    "recording": "",
    "model_world": "",
    "model_host": "",
    "model_line_ms": "0",
    "model_foreign": "",
}


class Options:
    def __init__(self, given, forced=None):
        values = dict(DEFAULTS)
        for source in (given, forced or {}):
            for name, value in source.items():
                if name in DEFAULTS:
                    values[name] = value
                else:
                    log.warning("there is no option %s", name)
        self.values = values
        self.runner = self._choice("runner", ("powershell", "model", "replay"))
        self.host_id = values["host_id"] and paths.check_uuid(values["host_id"], "options.host_id")
        self.powershell = values["powershell"]
        self.processes = self._number("processes", 2, 32)
        self.instances_directory = paths.check_windows_root(values["instances_directory"], "instances_directory")
        self.images_directory = values["images_directory"] or None
        self.share, self.switch = values["share"], values["switch"]
        self.generation = int(self._choice("generation", ("1", "2")))
        self.secure_boot = self._choice("secure_boot", ("on", "off")) == "on"
        self.stop_action = self._choice("stop_action", ("Save", "TurnOff", "ShutDown"))
        self.serve_pipes = self._choice("console_role", ("client", "server")) == "server"
        self.poll_seconds = self._number("poll_seconds", 1, 3600)
        self.max_file_bytes = self._number("max_file_bytes", 0, 1 << 62)
        self.recording = values["recording"]
        self.model_world, self.model_host = values["model_world"], values["model_host"]
        self.model_foreign = values["model_foreign"]
        self.model_line_ms = self._number("model_line_ms", 0, 3600000)

    def _choice(self, name, choices):
        value = self.values[name]
        for each in choices:
            if value.lower() == each.lower():
                return each
        raise HyperVError("invalid_argument", "the option %s is one of %s" % (name, ", ".join(choices)),
                          {"field": "options." + name})

    def _number(self, name, low, high):
        try:
            value = int(self.values[name])
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise HyperVError("invalid_argument", "the option %s is a number from %d to %d" % (name, low, high),
                              {"field": "options." + name})
        return value
