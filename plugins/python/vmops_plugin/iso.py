"""Config drives, made by xorriso."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import Iterable

from .errors import Unavailable
from .model import ConfigFile
from .request import Request
from .tools import run_tool


def build_config_drive(request: Request, path: str, files: Iterable[ConfigFile]) -> None:
    """An ISO 9660 image with Rock Ridge and Joliet, labelled `config-2`, readable by its owner alone.

    The file is there as a whole or not at all.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".config-", dir=directory) as work:
        tree, image = os.path.join(work, "tree"), os.path.join(work, "image")
        os.mkdir(tree)
        for file in files:
            target = os.path.join(tree, file.path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as out:
                out.write(file.content)
        program = shutil.which("xorriso")
        if program is None:
            raise Unavailable("xorriso is not installed")
        command = [program, "-as", "mkisofs", "-quiet", "-J", "-R", "-V", "config-2", "-o", image, tree]
        run_tool(request, command, stdin=subprocess.DEVNULL)
        os.chmod(image, 0o600)
        os.replace(image, path)
