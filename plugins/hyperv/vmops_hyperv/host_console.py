"""Consoles: a reader for each that the worker has open, or that a machine's start is about to fill."""

import threading

import vmops_plugin as vmops

from .base import Base, answers
from .console import DRAIN_LIMIT, ConsoleReader
from .errors import HyperVError
from .pipe import BUSY, PipeError
from .planner.machines import console_pipe


class Consoles(Base):
    def _prepare_consoles(self):
        self._readers = {}          # uuid → (Console, ConsoleReader)
        self._readers_lock = threading.Lock()

    @answers
    def console_open(self, request, uuid, offset):
        machine = self.need(request, uuid)
        if not machine.com_port:
            raise HyperVError("unimplemented", "machine %s has no serial port" % uuid)
        console = vmops.Console(capacity=self.console_buffer)
        with self._readers_lock:
            old = self._readers.pop(uuid, None)
        if old is not None:
            # A pipe has one reader: the old one has to be gone before the new one comes.
            old[1].stop("superseded")
            old[1].join()
        reader = ConsoleReader(self.opener, machine.com_port, console.write,
                               lambda reason: self._ended(uuid, console, reason))
        with self._readers_lock:
            self._readers[uuid] = (console, reader)
        reader.start()
        return console

    def _ended(self, uuid, console, reason):
        with self._readers_lock:
            if self._readers.get(uuid, (None,))[0] is console:
                del self._readers[uuid]
        if reason not in ("closed", "superseded"):
            console.end(reason)

    def console_closed(self, uuid, console):
        with self._readers_lock:
            entry = self._readers.get(uuid)
        if entry is not None and entry[0] is console:
            entry[1].stop("closed")
            entry[1].join()

    @answers
    def console_write(self, request, uuid, data):
        with self._readers_lock:
            entry = self._readers.get(uuid)
        try:
            if entry is not None and entry[1].is_connected:
                entry[1].write(data)
                return
            machine = self.need(request, uuid)
            if machine.state != "running":
                raise HyperVError("invalid_state", "machine %s is %s" % (uuid, machine.state),
                                  {"state": machine.state})
            if entry is not None:
                raise HyperVError("unavailable", "the console is not connected")
            endpoint = self.opener.open(machine.com_port or console_pipe(uuid))
            try:
                endpoint.write(data)
            finally:
                endpoint.release()
        except PipeError as error:
            raise HyperVError("busy" if error.kind == BUSY else "unavailable", "the console: %s" % error) from None

    def console_prepare(self, machine):
        """Before a start: where we serve the pipe, it has to be there first."""
        prepare = getattr(self.opener, "prepare", None)
        if prepare is not None and machine.com_port:
            prepare(machine.com_port)

    def console_forget(self, machine):
        """After a start that failed, or the end of a machine: nothing waits for it any more."""
        forget = getattr(self.opener, "forget", None)
        if forget is not None and machine.com_port:
            forget(machine.com_port)

    def console_stopped(self, uuid, reason="stopped"):
        """The machine is off: what it printed is read to the end of the pipe, then the stream ends. Does not wait."""
        with self._readers_lock:
            entry = self._readers.get(uuid)
        if entry is not None:
            entry[1].stop(reason, drain=DRAIN_LIMIT)

    def console_figures(self, uuid):
        with self._readers_lock:
            entry = self._readers.get(uuid)
        if entry is None:
            return {"console_state": "closed"}
        reader = entry[1]
        return {"console_state": reader.state, "console_bytes_in": reader.bytes_in,
                "console_reconnects": reader.reconnects, "console_last_error": reader.last_error or ""}

    def close_consoles(self):
        with self._readers_lock:
            entries = list(self._readers.values())
        for _, reader in entries:
            reader.stop("closed")
