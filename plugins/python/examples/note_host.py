"""The smallest host that works: machines are notes in a dictionary, their disks empty files."""

import os

import vmops_plugin as vmops


class NoteHost(vmops.Host):
    plugin_name = "notes"
    flags = ("host.events",)

    def open(self, setup):
        self.machines = {}
        return vmops.HostIdentity(setup.state_directory, setup.host, "notes", 1)

    def host_info(self, request):
        cpu = vmops.CPUInfo(architecture="x86_64")
        return vmops.HostInfo(1, 1024, 0, 10, 0, "notes", 1, self.setup.host, cpu)

    def machine_list(self, request):
        return [vmops.MachineEntry(each.name, each.state, each.uuid) for each in list(self.machines.values())]

    def machine_get(self, request, uuid):
        if uuid not in self.machines:
            raise vmops.NotFound(f"there is no machine {uuid}")
        return self.machines[uuid]

    def machine_create(self, request, spec):
        self.machines.setdefault(spec.uuid, vmops.MachineStatus(spec.uuid, spec.name, vmops.OFF))

    def machine_delete(self, request, uuid):
        if self.machines.pop(uuid, None):
            self.emit(uuid, "removed")

    def machine_start(self, request, uuid):
        self.machines[uuid].state = vmops.RUNNING
        self.emit(uuid, "started")

    def machine_stop(self, request, uuid):
        self.machines[uuid].state = vmops.OFF
        self.emit(uuid, "stopped", reason="requested")

    def image_get(self, request, image):
        return vmops.Image(image.reference, image.location or "/dev/null", "raw", 0)

    def disk_create(self, request, path, format, source, image, virtual_size):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(virtual_size or 0)
        return self.disk_info(request, path)

    def disk_info(self, request, path):
        status = os.stat(path)
        return vmops.DiskInfo(path, "raw", status.st_size, status.st_blocks * 512)


if __name__ == "__main__":
    vmops.main(NoteHost)
