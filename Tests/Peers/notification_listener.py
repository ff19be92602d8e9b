"""An oslo.messaging notification listener that a test steers.

It says {"ready": true} when it listens, and one line for every notification:
{"priority": "info", "context": …, "publisher": …, "event": …, "payload": …, "metadata": {"message_id", "timestamp"}}.
"""

import oslo_messaging
import peer


class Endpoint:
    def _tell(self, priority, context, publisher, event, payload, metadata):
        peer.emit(
            priority=priority,
            context=dict(context),
            publisher=publisher,
            event=event,
            payload=payload,
            metadata=metadata,
        )
        return oslo_messaging.NotificationResult.HANDLED


def method(priority):
    return lambda self, *args: self._tell(priority, *args)


for name in ("audit", "debug", "info", "warn", "error", "critical", "sample"):
    setattr(Endpoint, name, method(name))


def main():
    parsed = peer.arguments(__doc__)
    targets = [oslo_messaging.Target(exchange=parsed.exchange, topic=topic) for topic in parsed.topic.split(",")]
    listener = oslo_messaging.get_notification_listener(
        peer.transport(parsed, notifications=True), targets, [Endpoint()], executor="threading"
    )
    listener.start()
    peer.emit(ready=True)
    for _ in peer.commands():
        pass
    listener.stop()
    listener.wait()


main()
