"""Runs other programs within a request."""

from __future__ import annotations

import os
import subprocess
from typing import Any, List

from .errors import Internal, ResourceExhausted
from .request import Request


def run_tool(request: Request, command: List[str], **more: Any) -> str:
    """Its standard output. It is killed when the request is cancelled or too late; a bad status is Internal."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, errors="replace", **more
    )
    request.on_stop(process.kill)
    out, problem = process.communicate()
    request.check()
    if process.returncode != 0:
        text = problem.strip()[-1000:] or f"status {process.returncode}"
        kind = ResourceExhausted if "No space left" in text else Internal
        raise kind(f"{os.path.basename(command[0])}: {text}")
    return str(out)
