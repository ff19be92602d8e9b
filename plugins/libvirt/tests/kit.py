"""Runs the conformance kit against the plugin on a session daemon: kit.py VMOPSCTL [OPTION…]"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import session  # noqa: E402


def main(program, options):
    place = session.Place()
    try:
        daemon = session.Daemon(place, "a")
        try:
            disk, copy = os.path.join(place.path, "tick"), os.path.join(place.path, "vmopsctl")
            session.tick_disk(disk)
            # Where it is built an unprivileged user may not come.
            shutil.copy(program, copy)
            scratch = place.directory("scratch")
            place.give(place.path)
            environment = [f"PYTHONPATH={place.path}/code", f"LIBVIRT_DEFAULT_URI={daemon.uri}"]
            command = [copy, "plugin", "check", "--option", "network=user", "--disk", disk, "--disk-bus", "ide"]
            command += ["--memory-mb", "16", "--boot-text", "ready", "--bridge", "br0"]
            command += [word for each in environment for word in ("--environment", each)]
            command += [*options, "--", session.python(), "-m", "vmops_libvirt"]
            own = {**os.environ, "HOME": scratch, "TMPDIR": scratch}
            return subprocess.run(place.command(command), env=own, check=False).returncode
        finally:
            daemon.end()
    finally:
        place.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
