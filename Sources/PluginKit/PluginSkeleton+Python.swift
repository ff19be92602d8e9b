extension PluginSkeleton {
    /// A host over the Python SDK: what a new plugin's author replaces.
    static let pythonHost = #"""
        #!/usr/bin/env python3
        """@NAME@: a plugin of vmops. Machines are records in files here; make the methods drive your hypervisor."""

        import json
        import os
        import threading

        import vmops_plugin as vmops
        from vmops_plugin.images import ImageFolder


        def store(path, value):
            """Whole or not at all: the worker may kill this process at any moment."""
            with open(path + ".new", "w") as file:
                json.dump(value, file)
            os.replace(path + ".new", path)


        class Host(vmops.Host):
            plugin_name = "@NAME@"
            disk_formats = ("raw",)
            flags = ("host.events",)

            # Life

            def open(self, setup):
                self.lock = threading.Lock()
                self.file = os.path.join(setup.state_directory, "machines.json")
                self.state = {"machines": {}, "incarnations": {}}
                if os.path.exists(self.file):
                    with open(self.file) as file:
                        self.state = json.load(file)
                # A stable id: the worker refuses a host that changes it.
                return vmops.HostIdentity("@NAME@-" + setup.host, setup.host, "@NAME@", 1)

            def host_info(self, request):
                cpu = vmops.CPUInfo(architecture="x86_64")
                return vmops.HostInfo(os.cpu_count() or 1, 4096, 0, 100, 0, "@NAME@", 1, self.setup.host, cpu)

            # Machines: requests for one machine come one at a time, for several at once.

            def machine_list(self, request):
                machines = list(self.state["machines"].items())
                return [vmops.MachineEntry(each["name"], each["state"], uuid, each["incarnation"]) for uuid, each in machines]

            def machine_get(self, request, uuid):
                each = self.find(uuid)
                return vmops.MachineStatus(uuid, each["name"], each["state"], each["incarnation"], has_console=False)

            def machine_create(self, request, spec):
                """The same definition again is fine; another one under its uuid is not."""
                definition = vmops.to_json(spec)
                with self.lock:
                    known = self.state["machines"].get(spec.uuid)
                    if known and known["definition"] == definition:
                        return
                    if known:
                        raise vmops.AlreadyExists(f"machine {spec.uuid} exists and is another")
                    incarnation = self.state["incarnations"].get(spec.uuid, 0) + 1
                    self.state["incarnations"][spec.uuid] = incarnation
                    self.state["machines"][spec.uuid] = {
                        "name": spec.name, "state": vmops.OFF, "incarnation": incarnation, "definition": definition,
                    }
                    store(self.file, self.state)

            def machine_delete(self, request, uuid):
                with self.lock:
                    each = self.state["machines"].pop(uuid, None)
                    if each is None:
                        return
                    store(self.file, self.state)
                    if each["state"] != vmops.OFF:
                        self.emit(uuid, "stopped", reason="requested", incarnation=each["incarnation"])
                    self.emit(uuid, "removed", incarnation=each["incarnation"])

            def machine_start(self, request, uuid):
                self.change(uuid, vmops.RUNNING, "started")

            def machine_stop(self, request, uuid):
                self.change(uuid, vmops.OFF, "stopped", reason="requested")

            def machine_pause(self, request, uuid):
                self.change(uuid, vmops.PAUSED, "paused")

            def machine_resume(self, request, uuid):
                self.change(uuid, vmops.RUNNING, "resumed")

            def find(self, uuid):
                try:
                    return self.state["machines"][uuid]
                except KeyError:
                    raise vmops.NotFound(f"there is no machine {uuid}") from None

            def change(self, uuid, state, event, reason=None):
                """First on disk, then told: what was told holds after a crash."""
                with self.lock:
                    each = self.find(uuid)
                    each["state"] = state
                    store(self.file, self.state)
                    self.emit(uuid, event, reason=reason, incarnation=each["incarnation"])

            # Images and disks

            def image_get(self, request, image):
                return ImageFolder(os.path.join(self.setup.state_directory, "images")).get(request, image)

            def disk_create(self, request, path, format, source, image, virtual_size):
                if format != "raw":
                    raise vmops.InvalidArgument("disks are raw", field="format")
                if source == "overlay":
                    raise vmops.Unimplemented("there are no copy-on-write disks here")
                try:
                    with open(path, "xb") as file:
                        if source == "copy":
                            with open(image.path, "rb") as content:
                                file.write(content.read())
                        file.truncate(max(virtual_size or 0, file.tell()))
                except FileExistsError:
                    raise vmops.AlreadyExists(f"there is a disk {path}") from None
                return self.disk_info(request, path)

            def disk_info(self, request, path):
                try:
                    status = os.stat(path)
                except FileNotFoundError:
                    raise vmops.NotFound(f"there is no disk {path}") from None
                return vmops.DiskInfo(path, "raw", status.st_size, status.st_blocks * 512)


        if __name__ == "__main__":
            vmops.main(Host)
        """#
}
