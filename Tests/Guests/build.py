#!/usr/bin/env python3
"""Makes the guests that tests boot. The same inputs give the same bytes; README.md says what the guests do.

    build.py tick  OUT [--size BYTES]    the tick guest as a raw disk; needs Python only
    build.py check                       does tickguest.b64 belong to tickguest.S? needs as and ld
    build.py b64                         write tickguest.b64 anew; needs as and ld
    build.py selftest                    the boot sector of the host's own test, as base64; needs as and ld
    build.py linux OUTDIR [--deb FILE] [--busybox FILE]
                                         vmlinuz and initrd.img from Debian's cloud kernel and static busybox, which
                                         are fetched with apt-get download unless they are given; needs dpkg-deb
"""
import argparse
import base64
import fcntl
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import textwrap

GUESTS = os.path.dirname(os.path.abspath(__file__))
TICK_SOURCE = os.path.join(GUESTS, "tickguest.S")
TICK_TEXT = os.path.join(GUESTS, "tickguest.b64")
INIT = os.path.join(GUESTS, "linux-init.sh")

# SeaBIOS boots a smaller disk from IDE only.
SMALLEST_DISK = 512 << 10

# In the order they are loaded. One that is missing is part of the kernel, or not needed there.
MODULES = """
drivers/acpi/button drivers/input/evdev
drivers/virtio/virtio_ring drivers/virtio/virtio
drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci_legacy_dev
drivers/virtio/virtio_pci drivers/block/virtio_blk
net/core/failover drivers/net/net_failover drivers/net/virtio_net
drivers/cdrom/cdrom drivers/scsi/scsi_common drivers/scsi/scsi_mod
drivers/scsi/virtio_scsi drivers/scsi/sd_mod drivers/scsi/sr_mod drivers/ata/libata drivers/ata/ata_piix
fs/isofs/isofs fs/fat/fat fs/fat/vfat fs/nls/nls_cp437 fs/nls/nls_ascii
fs/nls/nls_iso8859-1 fs/nls/nls_utf8
""".split()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def store(path, data):
    """Writes under another name first: a file of the right name is whole."""
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.rename(path + ".new", path)


# The tick guest


def assembled_text(source=TICK_SOURCE):
    with tempfile.TemporaryDirectory() as directory:
        unlinked, linked = os.path.join(directory, "guest.o"), os.path.join(directory, "guest")
        subprocess.run(["as", "--32", "-o", unlinked, source], check=True)
        link = ["ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-o", linked, unlinked]
        subprocess.run(link, check=True)
        code = contents(linked).rstrip(b"\0")
    return "\n".join(textwrap.wrap(base64.b64encode(code).decode(), 76)) + "\n"


def make_tick(options):
    if options.size % 512 or options.size < SMALLEST_DISK:
        sys.exit(f"the size must be a multiple of 512 and at least {SMALLEST_DISK}")
    code = base64.b64decode(contents(TICK_TEXT))
    store(options.out, code.ljust(options.size, b"\0"))


def write_text(_):
    store(TICK_TEXT, assembled_text().encode())


def check_text(_):
    if contents(TICK_TEXT).decode() != assembled_text():
        sys.exit("tickguest.b64 is older than tickguest.S: run build.py b64")
    print("tickguest.b64 belongs to tickguest.S")


def print_selftest(_):
    print(assembled_text(os.path.join(GUESTS, "selftest.S")), end="")


# The Linux guest


def archive(files):
    """A cpio archive in the "newc" form of (name, mode, contents, (major, minor))."""
    out = bytearray()
    for number, (name, mode, data, device) in enumerate([*files, ("TRAILER!!!", 0, b"", (0, 0))], start=1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + path, data):
            out += part
            out += bytes(-len(out) % 4)
    return bytes(out)


def unpacked(package, archive_file, directory):
    """The directory with the files of a Debian package, fetched unless there is a file of it."""
    place = os.path.join(directory, package)
    os.makedirs(place)
    if not archive_file:
        fetch = ["apt-get", "-qq", "download", package]
        subprocess.run(fetch, check=True, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        archive_file = glob.glob(place + "/*.deb")[0]
    subprocess.run(["dpkg-deb", "-x", archive_file, place + "/files"], check=True)
    return place + "/files"


def kernel_package():
    """The package behind the name that always means the newest cloud kernel."""
    listed = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        if "Depends: linux-image-" in line:
            return line.split()[1]
    sys.exit("apt knows no linux-image-cloud-amd64: run apt-get update")


def init_ramdisk(modules, busybox):
    directory, program, device = 0o40755, 0o100755, 0o20600
    files = [(name, directory, b"", (0, 0)) for name in "bin dev proc sys etc mod tmp cfg".split()]
    files += [
        ("dev/console", device, b"", (5, 1)),
        ("dev/null", device | 0o66, b"", (1, 3)),
        ("dev/ttyS0", device, b"", (4, 64)),
        ("bin/busybox", program, contents(busybox), (0, 0)),
        ("bin/sh", 0o120777, b"busybox", (0, 0)),
        ("init", program, contents(INIT), (0, 0)),
    ]
    order = []
    for module in MODULES:
        path = os.path.join(modules, module + ".ko")
        if os.path.exists(path):
            name = os.path.basename(module)
            order.append(name)
            files.append((f"mod/{name}.ko", 0o100644, contents(path), (0, 0)))
    files.append(("mod/order", 0o100644, " ".join(order).encode() + b"\n", (0, 0)))
    return archive(files)


def make_linux(options):
    os.makedirs(options.outdir, exist_ok=True)
    kernel, ramdisk, stamp = (os.path.join(options.outdir, name) for name in ("vmlinuz", "initrd.img", "stamp"))
    recipe = hashlib.sha256(contents(os.path.abspath(__file__)) + contents(INIT)).hexdigest().encode()
    # Several may want it at once: the first one makes it.
    with open(os.path.join(options.outdir, "lock"), "w") as lock, tempfile.TemporaryDirectory() as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp) and contents(stamp) == recipe:
            return
        files = unpacked("kernel" if options.deb else kernel_package(), options.deb, directory)
        busybox = options.busybox or unpacked("busybox-static", None, directory) + "/bin/busybox"
        modules = [path for path in glob.glob(files + "/**/modules/*/kernel", recursive=True)][0]
        store(ramdisk, init_ramdisk(modules, busybox))
        store(kernel, contents(sorted(glob.glob(files + "/boot/vmlinuz-*"))[-1]))
        store(stamp, recipe)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    tick = commands.add_parser("tick")
    tick.add_argument("out")
    tick.add_argument("--size", type=int, default=1 << 20)
    tick.set_defaults(run=make_tick)
    commands.add_parser("check").set_defaults(run=check_text)
    commands.add_parser("b64").set_defaults(run=write_text)
    commands.add_parser("selftest").set_defaults(run=print_selftest)
    linux = commands.add_parser("linux")
    linux.add_argument("outdir")
    linux.add_argument("--deb")
    linux.add_argument("--busybox")
    linux.set_defaults(run=make_linux)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
