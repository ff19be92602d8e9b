"""Images, disks, config drives, and the files of instances."""

import vmops_plugin as vmops

from . import iso, paths
from .base import Base, answers
from .errors import HyperVError
from .images import ImageCache
from .planner import disks
from .steps import Cmdlet, File

DISK = ("VhdFormat", "VhdType", "Size", "FileSize", "ParentPath")


class Disks(Base):
    def cache(self):
        return ImageCache(self.map, self.runner.files)

    def visible(self, path):
        """A path for the worker; what lies outside of its directories is named as it is, in its way."""
        return self.map.to_worker(path) or "/" + path.replace("\\", "/")

    def info(self, request, path):
        answer = self.runner.run(Cmdlet("Get-VHD", {"Path": path}, result=DISK), request)
        return {"format": answer["VhdFormat"].lower(), "virtual_size": answer["Size"],
                "actual_size": answer["FileSize"], "backing_file": answer.get("ParentPath") or None}

    def find_disk(self, path):
        """Where the disk is that the worker calls so."""
        candidates = self.map.candidates(path)
        return next((each for each in candidates if self.runner.files.exists(each)), candidates[0])

    def disk_information(self, request, target, path):
        info = self.info(request, target)
        backing = self.visible(info["backing_file"]) if info["backing_file"] else None
        return vmops.DiskInfo(path=path, format=info["format"], virtual_size=info["virtual_size"],
                              actual_size=info["actual_size"], backing_file=backing)

    @answers
    def image_get(self, request, image):
        with self.alone(self.map.image(image.reference)):
            found = self.cache().get(
                image.reference, image.location, [(each.algorithm, each.value) for each in image.checksums],
                image.format, image.size, request)
        return vmops.Image(reference=image.reference, path=self.visible(found["path"]), format=found["format"],
                           virtual_size=found["virtual_size"])

    @answers
    def disk_create(self, request, path, format, source, image, virtual_size):
        target = self.map.place(path, format)
        if self.runner.files.exists(target):
            raise HyperVError("already_exists", "there is a file %s" % paths.base(target), {"field": "path"})
        folder = paths.parent(target)
        # Nobody but us can make the instance's directory here; what lies deeper has to be there.
        is_instance = paths.same(paths.parent(folder), self.map.host_root)
        if not is_instance and not self.runner.files.exists(folder):
            raise HyperVError("not_found", "there is no directory for %s" % path, {"field": "path"})
        first = [File("makeDirectory", folder)] if is_instance else []
        if image is None:
            self.executor.run(first + disks.create(target, format, source, size=virtual_size,
                                                   limit=self.options.max_file_bytes), request)
            return self.disk_information(request, target, path)
        image_path = self.map.to_host(image.path, "image.path")
        # A larger copy in the cache is made by one of those who want it.
        with self.alone(disks.resized(image_path, virtual_size) if virtual_size else target):
            info = self.info(request, image_path)
            exists = bool(virtual_size) and self.runner.files.exists(disks.resized(image_path, virtual_size))
            plan = disks.create(
                target, format, source, {"format": info["format"], "virtual_size": info["virtual_size"]}, virtual_size,
                image_path, exists, self.options.max_file_bytes)
            self.executor.run(first + plan, request)
        return self.disk_information(request, target, path)

    @answers
    def disk_info(self, request, path):
        return self.disk_information(request, self.find_disk(path), path)

    @answers
    def disk_resize(self, request, path, virtual_size):
        target = self.find_disk(path)
        self.executor.run(disks.resize(target, self.info(request, target), virtual_size), request)

    @answers
    def config_drive_build(self, request, path, files):
        target = self.map.to_host(path)
        if paths.extension(target) != "iso":
            raise HyperVError("invalid_argument", "a config drive has to end in .iso", {"field": "path"})
        image = iso.build([(each.path, each.content) for each in files])
        self.executor.run([File("makeDirectory", paths.parent(target)), File("write", target, content=image)], request)

    @answers
    def instance_remove_files(self, request, directory):
        path = self.map.to_host(directory, "directory")
        if paths.same(path, self.map.images_root) or path.lower().startswith(self.map.images_root.lower() + "\\"):
            raise HyperVError("invalid_argument", "that is the image cache", {"field": "directory"})
        self.executor.run([File("removeTree", path)], request)
