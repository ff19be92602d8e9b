#!/usr/bin/env python3
"""Records what a real Hyper-V host answers, with names and addresses replaced: fixtures for tests.

    python record.py [the arguments of verify.py] > recording.json

It does what verify.py does (so it makes and removes machines), and prints every step with its answer. Look at the file
before you give it away: what is replaced are uuids, MAC and IP addresses, account SIDs, the names of this computer, its
domain, its user and its other machines, and the texts given with --name.
"""

import json
import os
import sys

import verify
from vmops_hyperv.executor import Unhurried
from vmops_hyperv.files import LocalFiles
from vmops_hyperv.options import Options
from vmops_hyperv.runner.model import ModelRunner
from vmops_hyperv.runner.powershell import PowerShellRunner
from vmops_hyperv.runner.replay import RecordingRunner, Redactor
from vmops_hyperv.steps import Cmdlet, Script


def known_names(runner, root, given=()):
    """Names that would tell whose host it is."""
    names = list(given)
    for variable in ("COMPUTERNAME", "USERDOMAIN", "USERDNSDOMAIN", "USERNAME", "LOGONSERVER"):
        names.append(os.environ.get(variable, "").strip("\\"))
    info = runner.run(Script("hostInfo", root=root), Unhurried())
    names += [info["name"], info["name"].split(".")[0]]
    names += runner.run(Script("probe"), Unhurried())["user"].split("\\")
    # Our own machines keep their names: they say what was done.
    for machine in runner.run(Script("inventory"), Unhurried())["machines"]:
        if not machine["name"].startswith("vmops-verify-"):
            names.append(machine["name"])
    for switch in runner.run(Cmdlet("Get-VMSwitch", result=("Name", "SwitchType")), Unhurried()).get("items") or []:
        if switch["Name"] != switch["SwitchType"]:
            names.append(switch["Name"])
    return [name for name in names if name]


def main(words=None, out=sys.stdout):
    parser = verify.parser()
    parser.add_argument("--name", action="append", default=[], help="another text to replace; may be repeated")
    arguments = parser.parse_args(words)
    if not verify.is_possible(arguments, sys.stderr):
        return 2
    options = Options({}, {"instances_directory": arguments.directory})
    if arguments.runner == "model":
        inner = ModelRunner()
        opener = inner.pipes
    else:
        from vmops_hyperv.pipe_windows import PipeOpener
        inner = PowerShellRunner(arguments.powershell, LocalFiles(), options.processes)
        opener = PipeOpener(arguments.console_role == "server")
    names = known_names(inner, options.instances_directory, arguments.name)
    recorder = RecordingRunner(inner)
    results = verify.run(arguments, recorder, opener, out=sys.stderr)
    redactor = Redactor(names)
    recording = {"format": 1, "results": redactor.value(results), "pairs": redactor.value(recorder.pairs)}
    json.dump(recording, out, indent=1, ensure_ascii=False)
    out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
