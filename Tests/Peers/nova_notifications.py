"""Listens to versioned notifications with oslo.messaging's own listener, and holds each against Nova's classes."""

import threading

import oslo_messaging
from nova import rpc
from nova.notifications.objects import instance as instance_payloads
from nova.objects import base, fields
from nova.conf import CONF

FRAME = {"nova_object.name", "nova_object.version", "nova_object.namespace", "nova_object.data"}


def complaints(primitive):
    """What in a payload Nova would not have sent."""
    known = {each.__name__: each for each in base.NovaObjectRegistry.notification_classes}
    if not isinstance(primitive, dict) or set(primitive) != FRAME:
        return ["%r is no object" % (primitive,)]
    name = primitive["nova_object.name"]
    if name not in known:
        return ["no class %s" % name]
    own = known[name]
    found = []
    if primitive["nova_object.version"] != own.VERSION:
        found.append("%s is %s, not %s" % (name, primitive["nova_object.version"], own.VERSION))
    if primitive["nova_object.namespace"] != own.OBJ_PROJECT_NAMESPACE:
        found.append("namespace of %s" % name)
    data = primitive["nova_object.data"]
    for missing in set(own.fields) ^ set(data):
        found.append("%s.%s" % (name, missing))
    for field in set(own.fields) & set(data):
        found += ["%s.%s: %s" % (name, field, each) for each in unfit(own.fields[field], field, data[field])]
    return found


def unfit(field, name, value):
    if value is None:
        return [] if field.nullable else ["is null"]
    if isinstance(field, fields.ObjectField):
        return complaints(value)
    if isinstance(field, fields.ListOfObjectsField):
        return [each for entry in value for each in complaints(entry)]
    if isinstance(field, fields.DiskConfigField):
        # Reads a boolean, writes a word.
        return [] if value in fields.DiskConfig.ALL else ["%r" % value]
    try:
        read = field.coerce(None, name, field.from_primitive(None, name, value))
        written = field.to_primitive(None, name, read)
        return [] if written == value else ["%r would be %r" % (value, written)]
    except Exception as error:
        return ["%r: %s" % (value, error)]


class Listener:
    def __init__(self, topics):
        self.lock = threading.Lock()
        self.heard = []
        listener = oslo_messaging.get_notification_listener(
            oslo_messaging.get_notification_transport(CONF),
            [oslo_messaging.Target(topic=topic, exchange="nova") for topic in topics],
            [self],
            executor="threading",
        )
        listener.start()

    def note(self, priority, context, publisher, event, payload):
        about = payload.get("nova_object.data", {})
        note = {
            "priority": priority, "publisher": publisher, "event": event, "payload": payload,
            "uuid": about.get("uuid"), "complaints": complaints(payload), "user": dict(context).get("user_id"),
        }
        with self.lock:
            self.heard.append(note)

    def info(self, context, publisher, event, payload, metadata):
        self.note("info", context, publisher, event, payload)

    def error(self, context, publisher, event, payload, metadata):
        self.note("error", context, publisher, event, payload)

    def take(self):
        with self.lock:
            heard, self.heard = self.heard, []
        return heard


def expected(context, instance):
    """The payload that Nova makes of an action on the instance as it is now."""
    payload = instance_payloads.InstanceActionPayload(context, instance, None)
    payload.obj_reset_changes(recursive=True)
    return payload.obj_to_primitive()
