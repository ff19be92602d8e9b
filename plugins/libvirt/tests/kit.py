"""Runs the conformance kit against the plugin on two session daemons: kit.py VMOPSCTL [OPTION…]"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import session  # noqa: E402

FOREIGN = "6695eb01-f6a4-8304-79aa-97f2502e193f"
#: What somebody else has on the first daemon.
DEFINE = (
    "import sys, libvirt\n"
    "libvirt.open(sys.argv[1]).defineXML(\"<domain type='qemu'><name>accounting</name>\"\n"
    f"  \"<uuid>{FOREIGN}</uuid><memory>16384</memory><os><type>hvm</type></os></domain>\")\n"
)


def kit(place, here, there, program, options):
    disk, copy = os.path.join(place.path, "tick"), os.path.join(place.path, "vmopsctl")
    session.tick_disk(disk)
    # Where it is built an unprivileged user may not come.
    shutil.copy(program, copy)
    scratch = place.directory("scratch")
    place.give(place.path)
    own = {**os.environ, "HOME": scratch, "TMPDIR": scratch}
    subprocess.run(place.command([session.python(), "-c", DEFINE, here.uri]), env=own, check=True)
    data = os.path.join(place.path, "move")
    first = [f"uri={here.uri}", "network=user", "migration_mode=direct", "migration_unsafe=yes"]
    second = [f"uri={there.uri}", f"migration_uri={there.uri}", f"migration_data_uri=unix://{data}"]
    command = [copy, "plugin", "check", "--disk", disk, "--disk-bus", "ide", "--memory-mb", "16"]
    command += ["--boot-text", "ready", "--bridge", "br0", "--foreign", "accounting", "--foreign-uuid", FOREIGN]
    for name, values in (
        ("--option", first),
        ("--second-option", second),
        ("--environment", [f"PYTHONPATH={place.path}/code"]),
    ):
        command += [word for each in values for word in (name, each)]
    command += [*options, "--", session.python(), "-m", "vmops_libvirt"]
    return subprocess.run(place.command(command), env=own, check=False).returncode


def main(program, options):
    place = session.Place()
    daemons = []
    try:
        for name in ("a", "b"):
            daemons.append(session.Daemon(place, name))
        return kit(place, *daemons, program, options)
    finally:
        for daemon in daemons:
            daemon.end()
        place.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
