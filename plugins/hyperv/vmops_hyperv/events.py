"""What happened to machines, found by comparing what was known with what is seen.

Several look: the plugin's own operations, Hyper-V's events, and a poll now and then, which is all there is when events
cannot be had. Whoever sees something says so here, and each change is told once, in the order in which it was seen.
"""

import threading

from . import states

REQUESTED, GUEST, CRASHED, HOST, MIGRATED = "requested", "guest", "crashed", "host", "migrated"

#: An uptime that goes back by more than this while the machine runs means that it was reset.
REBOOT_SLACK_MS = 2000


class _Known:
    __slots__ = ("id", "uuid", "incarnation", "state", "uptime_ms", "intent", "seen")

    def __init__(self, id, uuid, incarnation, state, uptime_ms):
        self.id, self.uuid, self.incarnation = id, uuid, incarnation
        self.state, self.uptime_ms = state, uptime_ms
        self.intent = None          # why it may stop or go: set by an operation before it asks
        self.seen = 0


class Tracker:
    """`tell(uuid, incarnation, type, reason)` is called under the tracker's lock: it must not come back here."""

    def __init__(self, tell):
        self._tell = tell
        self._machines = {}
        self._lock = threading.RLock()
        self._turn = 0

    def ticket(self):
        """To be taken before something is read: an older look does not overrule a newer one."""
        with self._lock:
            self._turn += 1
            return self._turn

    def adopt(self, machine):
        """A machine that is known without anything having happened to it."""
        with self._lock:
            known = _Known(machine.id, machine.uuid, machine.incarnation, machine.state, machine.uptime_ms)
            known.seen = self.ticket()
            self._machines[machine.id] = known

    def known(self, uuid):
        with self._lock:
            return next(((each.id, each.state) for each in self._machines.values() if each.uuid == uuid), None)

    def intend(self, id, intent):
        """Until further notice, the machine stops for this reason; `None` ends that."""
        with self._lock:
            if id in self._machines:
                self._machines[id].intent = intent

    def see(self, machine, ticket, arrived=False):
        """A machine of ours as it was read."""
        with self._lock:
            known = self._machines.get(machine.id)
            if known is None:
                self.adopt(machine)
                if arrived:
                    self._say(self._machines[machine.id], "migrated-in")
                return
            if ticket < known.seen:
                return
            known.incarnation = machine.incarnation
            self._change(known, machine.state, machine.uptime_ms, ticket)

    def see_state(self, id, enabled_state, uptime_ms=None, ticket=None):
        """The state alone. False: nobody knows this machine yet."""
        with self._lock:
            known = self._machines.get(id)
            if known is None:
                return False
            ticket = self.ticket() if ticket is None else ticket
            if ticket >= known.seen:
                self._change(known, states.state_of(enabled_state), uptime_ms, ticket)
            return True

    def gone(self, id, reason=None):
        """It is no longer here: removed, or moved when that was intended."""
        with self._lock:
            known = self._machines.pop(id, None)
            if known is None:
                return
            if known.intent == MIGRATED or reason == MIGRATED:
                self._say(known, "migrated-out")
                return
            if known.state in (states.RUNNING, states.PAUSED):
                self._say(known, "stopped", known.intent or HOST)
            self._say(known, "removed")

    def see_all(self, machines, ticket, arriving=()):
        """The whole inventory: what is not in it is gone."""
        with self._lock:
            present = {machine.id for machine in machines}
            for machine in machines:
                self.see(machine, ticket, machine.uuid in arriving)
            for id in [id for id, known in self._machines.items() if id not in present and known.seen < ticket]:
                self.gone(id)

    def _say(self, known, type, reason=None):
        self._tell(known.uuid, known.incarnation, type, reason)

    def _change(self, known, state, uptime_ms, ticket):
        known.seen = ticket
        before, known_uptime = known.state, known.uptime_ms
        if uptime_ms is not None:
            known.uptime_ms = uptime_ms
        if state == states.TRANSITIONAL:
            return          # on the way: told when it is there
        known.state = state
        if state == before:
            if state == states.RUNNING and uptime_ms is not None and known_uptime is not None \
                    and uptime_ms + REBOOT_SLACK_MS < known_uptime and known.intent != "reset":
                self._say(known, "rebooted")
            return
        if state == states.RUNNING:
            self._say(known, "started" if before in (states.OFF, states.ERROR) else "resumed")
        elif state == states.PAUSED:
            if before in (states.OFF, states.SAVED):
                self._say(known, "started")
            self._say(known, "paused")
        elif state == states.SAVED:
            self._say(known, "saved")
        elif state == states.OFF:
            self._say(known, "stopped", known.intent or GUEST)
        elif state == states.ERROR:
            self._say(known, "crashed")
