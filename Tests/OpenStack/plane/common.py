"""What the parts of the control plane share: the harness's broker script, and small tools."""

import importlib.machinery
import importlib.util
import os
import pwd
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
BROKER = os.path.join(ROOT, "Tests", "Harness", "broker")


def load_broker():
    """The broker's script as a module: it knows how to find free ports and how to report failures."""
    loader = importlib.machinery.SourceFileLoader("broker", BROKER)
    spec = importlib.util.spec_from_loader("broker", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["broker"] = module
    loader.exec_module(module)
    return module


broker = load_broker()
Failure = broker.Failure
wait_until = broker.wait_until
free_ports = broker.free_ports
is_free = broker.is_free


def write(path, text, mode=0o600, owner=None):
    """Replaces a file in one step, so that a start that was interrupted leaves no half of it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.chmod(temporary, mode)
    if owner:
        os.chown(temporary, *owner)
    os.replace(temporary, path)


def last_lines(path, count=15):
    try:
        with open(path, errors="replace") as file:
            return "\n".join([line for line in file.read().splitlines() if line.strip()][-count:])
    except FileNotFoundError:
        return ""


def is_reachable_by_others(directory):
    """Whether a process of another user can get to a directory: each directory above has to let it through."""
    while directory != "/":
        if not os.stat(directory).st_mode & 0o001:
            return False
        directory = os.path.dirname(directory)
    return True


def account(name, directory):
    """The user and group a service runs as: that of its package, where root may give it to one and the user gets to the
    directory; else None, whoever runs this."""
    if os.geteuid() != 0 or not is_reachable_by_others(directory):
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid
