"""What the Hyper-V host says of itself and its machines, as the scripts of the bridge answer."""

from . import spec, states


class Drive:
    def __init__(self, bus, controller, unit, path, media):
        self.bus, self.controller, self.unit = bus, controller, unit
        self.path, self.media = path, media

    @property
    def address(self):
        return (self.bus, self.controller, self.unit)


class Machine:
    """One realized machine. `mark` is `None` for a foreign one."""

    def __init__(self, record):
        self.id = record["id"].lower()
        self.name = record.get("name") or ""
        self.notes = record.get("notes")
        self.mark = spec.read_mark(self.notes)
        lines = self.notes if isinstance(self.notes, list) else [self.notes]
        self.has_notes = any(line and str(line).strip() for line in lines)
        self.enabled_state = record.get("enabled_state")
        self.state = states.state_of(self.enabled_state)
        self.path = record.get("path") or ""
        # Only the answer to `machine` has what follows.
        self.generation = record.get("generation") or 1
        self.uptime_ms = record.get("uptime_ms") or 0
        self.memory_mb = record.get("memory_mb")
        self.maximum_mb = record.get("maximum_mb")
        self.processors = record.get("processors")
        self.com_port = record.get("com_port")
        self.metering = bool(record.get("metering"))
        self.drives = [
            Drive(each["bus"].lower(), each["controller"], each["unit"], each.get("path"), each["media"])
            for each in record.get("drives") or []
        ]
        self.adapters = [dict(each) for each in record.get("adapters") or []]
        self.checkpoints = [each for each in record.get("checkpoints") or []]

    @property
    def uuid(self):
        return self.mark.uuid if self.mark else None

    @property
    def incarnation(self):
        return self.mark.incarnation if self.mark else 1

    @property
    def is_ours(self):
        return self.mark is not None

    def drive_of(self, path):
        return next((each for each in self.drives if each.path and each.path.lower() == path.lower()), None)

    def adapter_of(self, id):
        return next((each for each in self.adapters if each.get("name") == id), None)

    @property
    def root(self):
        """The disk that the machine starts from: the first address of its generation."""
        first = ("scsi", 0, 0) if self.generation == 2 else ("ide", 0, 0)
        return next((each for each in self.drives if each.address == first and each.media == "disk"), None)
