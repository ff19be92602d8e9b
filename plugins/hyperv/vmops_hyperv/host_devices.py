"""Drives and network adapters of machines."""

import dataclasses

from .base import Base, answers
from .errors import HyperVError
from .planner import devices
from .spec import read_disk, read_interface


class Devices(Base):
    @answers
    def machine_attach_disk(self, request, uuid, disk):
        machine = self.settled(request, uuid)
        read = read_disk(dataclasses.asdict(disk), self.map)
        if machine.drive_of(read.path) is None and not self.runner.files.exists(read.path):
            raise HyperVError("not_found", "there is no disk " + disk.path)
        self.executor.run(devices.attach_disk(machine, read), request)

    @answers
    def machine_detach_disk(self, request, uuid, path):
        machine = self.settled(request, uuid)
        self.executor.run(devices.detach_disk(machine, self._attached(machine, path)), request)

    def _attached(self, machine, path):
        candidates = self.map.candidates(path)
        return next((each for each in candidates if machine.drive_of(each)), candidates[0])

    @answers
    def machine_attach_interface(self, request, uuid, interface):
        machine = self.settled(request, uuid)
        read = read_interface(dataclasses.asdict(interface))
        switch = devices.choose_switch(read, self.switches(request), self.options.switch)
        self.executor.run(devices.attach_interface(machine, read, switch), request)

    @answers
    def machine_detach_interface(self, request, uuid, id):
        machine = self.settled(request, uuid)
        self.executor.run(devices.detach_interface(machine, id), request)

    @answers
    def network_plug(self, request, uuid, interface):
        """The port of an adapter that is there is put on its switch; one that comes later gets it when it comes."""
        machine = self.look(request, uuid)
        if machine is None or machine.adapter_of(interface.id) is None:
            return
        read = read_interface(dataclasses.asdict(interface))
        switch = devices.choose_switch(read, self.switches(request), self.options.switch)
        self.executor.run(devices.plug(machine, read.id, switch), request)

    @answers
    def network_unplug(self, request, uuid, interface):
        machine = self.look(request, uuid)
        self.executor.run(devices.unplug(machine, interface.id), request)
