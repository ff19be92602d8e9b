"""Where the plugin keeps what it keeps."""

from __future__ import annotations

import hashlib
import os
import tempfile

#: The path of a Unix socket has at most 107 bytes.
_LONGEST_SOCKET = 107
_UUID = 36


def console_directory(state_directory: str) -> str:
    """For the consoles' sockets: in the state directory, or, where that path is too long, in one made of its name."""
    directory = os.path.join(state_directory, "consoles")
    if len(os.fsencode(directory)) + 1 + _UUID > _LONGEST_SOCKET:
        name = hashlib.sha256(os.fsencode(os.path.realpath(state_directory))).hexdigest()[:16]
        base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        if len(os.fsencode(base)) > 40:
            base = "/tmp"
        directory = os.path.join(base, f"vmops-{os.getuid()}-{name}")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.stat(directory).st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to another user")
    return directory


def store(path: str, text: str) -> None:
    """Whole or not at all, also over a power failure."""
    part = path + ".new"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
