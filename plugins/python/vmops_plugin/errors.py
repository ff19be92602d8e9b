"""What a request can end with when not with its result (plugin protocol, section 5)."""

from __future__ import annotations

from typing import Any, Dict, Optional, Type

_LONGEST_MESSAGE = 4096


class PluginError(Exception):
    """An answer that is an error. Raise one of the subclasses; its message is shown to people as it is."""

    code = "internal"
    default_retryable = False

    def __init__(
        self, message: str = "", *, details: Optional[Dict[str, Any]] = None, retryable: Optional[bool] = None
    ) -> None:
        super().__init__(message or self.code.replace("_", " "))
        self.has_message = bool(message)
        self.details: Dict[str, Any] = dict(details or {})
        self.retryable = self.default_retryable if retryable is None else retryable

    def to_json(self) -> Dict[str, Any]:
        message = str(self).encode("utf-8", "replace")[:_LONGEST_MESSAGE].decode("utf-8", "ignore")
        answer: Dict[str, Any] = {"code": self.code, "message": message, "retryable": self.retryable}
        if self.details:
            answer["details"] = self.details
        return answer


class NotFound(PluginError):
    """There is no such machine, disk or image."""

    code = "not_found"


class AlreadyExists(PluginError):
    """Another one has this name."""

    code = "already_exists"


class InvalidState(PluginError):
    """The machine is not in a state that allows this; `state` is the one it is in."""

    code = "invalid_state"

    def __init__(self, message: str = "", *, state: Optional[str] = None, **more: Any) -> None:
        super().__init__(message, **more)
        if state is not None:
            self.details["state"] = state


class InvalidArgument(PluginError):
    """The request makes no sense; `field` is the member that is wrong."""

    code = "invalid_argument"

    def __init__(self, message: str = "", *, field: Optional[str] = None, **more: Any) -> None:
        super().__init__(message, **more)
        if field is not None:
            self.details["field"] = field


class Unimplemented(PluginError):
    """This plugin cannot do it, now or later."""

    code = "unimplemented"


class Unauthorized(PluginError):
    """The plugin lacks rights on its hypervisor."""

    code = "unauthorized"


class Busy(PluginError):
    """Something goes on with this object; the worker tries again."""

    code = "busy"
    default_retryable = True


class ResourceExhausted(PluginError):
    """No memory, no space, no free address."""

    code = "resource_exhausted"


class DeadlineExceeded(PluginError):
    """It could not be done by the deadline."""

    code = "timeout"
    default_retryable = True


class Cancelled(PluginError):
    """The worker asked to stop, and it was stopped."""

    code = "cancelled"


class Unavailable(PluginError):
    """The hypervisor cannot be reached now."""

    code = "unavailable"
    default_retryable = True


class Conflict(PluginError):
    """It exists and is not ours."""

    code = "conflict"


class Internal(PluginError):
    """Anything else."""


BY_CODE: Dict[str, Type[PluginError]] = {
    each.code: each
    for each in (
        NotFound, AlreadyExists, InvalidState, InvalidArgument, Unimplemented, Unauthorized, Busy, ResourceExhausted,
        DeadlineExceeded, Cancelled, Unavailable, Conflict, Internal,
    )
}  # fmt: skip
