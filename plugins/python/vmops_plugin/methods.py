"""The table of methods: how each one's params become arguments, and its value becomes a result (section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import model
from .errors import InvalidArgument, Unimplemented
from .host import Host
from .model import to_json
from .params import Params
from .request import Request

Arguments = Callable[[Params], Tuple[Any, ...]]
Answer = Callable[[Any], Any]

#: The flags that overriding one of these (all of these) shows.
_FLAGS: Tuple[Tuple[str, Tuple[str, ...]], ...] = (
    ("machine.softShutdown", ("machine_request_shutdown",)),
    ("machine.reset", ("machine_reset",)),
    ("machine.pause", ("machine_pause", "machine_resume")),
    ("machine.save", ("machine_save", "machine_restore")),
    ("machine.hotplug.nic", ("machine_attach_interface", "machine_detach_interface")),
    ("machine.hotplug.disk", ("machine_attach_disk", "machine_detach_disk")),
    ("machine.diagnostics", ("machine_diagnostics",)),
    ("machine.checkpoint", ("machine_export_root_disk",)),
    ("machine.cancelJobs", ("machine_cancel_jobs",)),
    ("disk.resize", ("disk_resize",)),
    ("configDrive.iso", ("config_drive_build",)),
    ("migrate.live", ("migrate_start",)),
    ("host.events", ("events_subscribe",)),
    ("console.output", ("console_open",)),
    ("console.input", ("console_write",)),
)


def capability_flags(host: Host) -> List[str]:
    def overrides(name: str) -> bool:
        return getattr(type(host), name) is not getattr(Host, name)

    flags = {flag for flag, names in _FLAGS if all(overrides(name) for name in names)}
    return sorted((flags | set(host.flags)) - set(host.missing_flags))


@dataclass(frozen=True)
class Method:
    """`name` is that of Host's method. `machine` says whose turn it is: such requests come one at a time."""

    name: str
    arguments: Arguments
    answer: Answer
    changes: bool = True


def _nothing(_: Any) -> Dict[str, Any]:
    return {}


def _whole(value: Any) -> Any:
    return to_json(value)


def _member(name: str) -> Answer:
    return lambda value: {name: to_json(value)}


def _reader(name: str, arguments: Arguments, answer: Answer) -> Method:
    return Method(name, arguments, answer, changes=False)


def _uuid(params: Params) -> Tuple[Any, ...]:
    return (params.uuid(),)


def _size(params: Params, source: str) -> Optional[int]:
    size = params.optional_integer("virtual_size")
    if size is None and source == "blank":
        raise params.wrong("virtual_size", "is missing")
    return size


def _disk_to_create(params: Params) -> Tuple[Any, ...]:
    source = params.choice("source", ("blank", "overlay", "copy"), "blank")
    image = params.object("image").image() if source != "blank" else None
    return params.path_below("path"), params.text("format", 64), source, image, _size(params, source)


_STATES = (model.RUNNING, model.OFF, model.PAUSED, model.SAVED)

METHODS: Dict[str, Method] = {
    "host.info": _reader("host_info", lambda p: (), _whole),
    "host.probe": _reader("host_probe", lambda p: (), _nothing),
    "events.subscribe": _reader("events_subscribe", lambda p: (), _nothing),
    "machine.get": _reader("machine_get", _uuid, _whole),
    "machine.create": Method("machine_create", lambda p: (p.object("spec").machine(),), _nothing),
    "machine.delete": Method("machine_delete", _uuid, _nothing),
    "machine.setState": Method(
        "machine_set_state", lambda p: (p.uuid(), p.choice("state", _STATES)), _member("state")
    ),
    "machine.reset": Method("machine_reset", _uuid, _member("state")),
    "machine.requestShutdown": Method(
        "machine_request_shutdown", lambda p: (p.uuid(), p.optional_text("reason") or ""), _member("answer")
    ),
    "machine.cancelJobs": _reader("machine_cancel_jobs", _uuid, _nothing),
    "machine.diagnostics": _reader("machine_diagnostics", _uuid, _member("diagnostics")),
    "machine.exportRootDisk": Method(
        "machine_export_root_disk", lambda p: (p.uuid(), p.path("path"), p.text("format", 64)), _whole
    ),
    "instance.removeFiles": Method("instance_remove_files", lambda p: (p.path_below("directory"),), _nothing),
    "image.get": Method("image_get", lambda p: (p.image_request(),), _whole),
    "disk.create": Method("disk_create", _disk_to_create, _whole),
    "disk.info": _reader("disk_info", lambda p: (p.path("path"),), _whole),
    "disk.resize": Method("disk_resize", lambda p: (p.path_below("path"), p.integer("virtual_size")), _nothing),
    "configDrive.build": Method(
        "config_drive_build", lambda p: (p.path_below("path"), p.config_files("files")), _nothing
    ),
    "machine.attachDisk": Method(
        "machine_attach_disk", lambda p: (p.uuid(), p.object("disk").disk(below=False)), _nothing
    ),
    "machine.detachDisk": Method("machine_detach_disk", lambda p: (p.uuid(), p.path("path")), _nothing),
    "volume.connect": Method("volume_connect", lambda p: (p.volume(),), _member("path")),
    "volume.disconnect": Method("volume_disconnect", lambda p: (p.volume(),), _nothing),
    "machine.attachInterface": Method(
        "machine_attach_interface", lambda p: (p.uuid(), p.object("interface").interface()), _nothing
    ),
    "machine.detachInterface": Method(
        "machine_detach_interface", lambda p: (p.uuid(), p.text("id", 128)), _nothing
    ),
    "network.plug": Method("network_plug", lambda p: (p.uuid(), p.object("interface").interface()), _nothing),
    "network.unplug": Method("network_unplug", lambda p: (p.uuid(), p.object("interface").interface()), _nothing),
    "console.write": Method("console_write", lambda p: (p.uuid(), p.data("base64")), _nothing, changes=False),
    "migrate.checkIncoming": Method(
        "migrate_check_incoming",
        lambda p: (p.object("spec").machine(), p.boolean("copy_storage"), p.optional_text("destination") or ""),
        _member("ticket"),
        changes=False,
    ),
    "migrate.checkOutgoing": Method(
        "migrate_check_outgoing", lambda p: (p.uuid(), p.mapping("ticket")), _member("ticket"), changes=False
    ),
    "migrate.prepareIncoming": Method(
        "migrate_prepare_incoming", lambda p: (p.object("spec").machine(), p.mapping("ticket")), _member("ticket")
    ),
    "migrate.start": Method("migrate_start", lambda p: (p.uuid(), p.mapping("ticket")), _nothing),
    "migrate.finishIncoming": Method("migrate_finish_incoming", _uuid, _nothing),
    "migrate.abandonIncoming": Method("migrate_abandon_incoming", _uuid, _nothing),
    "migrate.finishOutgoing": Method("migrate_finish_outgoing", _uuid, _nothing),
    "migrate.takeBack": Method("migrate_take_back", _uuid, _nothing),
}


def machine_of(params: Params) -> Optional[str]:
    """The machine that a request is about."""
    try:
        if params.has("spec"):
            return params.object("spec").optional_text("uuid")
        return params.optional_text("uuid")
    except InvalidArgument:
        return None


def call(host: Host, name: str, params: Params, request: Request) -> Dict[str, Any]:
    """One method from its params to its result; `console.open` and `console.close` are the connection's."""
    if name == "machine.list":
        return _page(host, params, request)
    method = METHODS.get(name)
    if method is None:
        raise Unimplemented(f"there is no method {name!r}")
    arguments = method.arguments(params)
    request.check()
    try:
        result = method.answer(getattr(host, method.name)(request, *arguments))
    except Unimplemented as error:
        raise error if error.has_message else Unimplemented(f"this plugin does not do {name}") from None
    return dict(result)


def _page(host: Host, params: Params, request: Request) -> Dict[str, Any]:
    """In the order of a key that machines keep, so that none is missed when others come and go between the pages."""
    after = params.optional_text("after") or ""
    limit = min(params.integer("limit", 100, minimum=1), 1000)
    entries = sorted(((f"{each.uuid or '-'} {each.name}", each) for each in host.machine_list(request)), key=_key)
    rest = [pair for pair in entries if pair[0] > after]
    answer: Dict[str, Any] = {"machines": [to_json(each) for _, each in rest[:limit]]}
    if len(rest) > limit:
        answer["next"] = rest[limit - 1][0]
    return answer


def _key(pair: Tuple[str, Any]) -> str:
    return pair[0]
