package enum LogLevel: String, Sendable, Hashable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}

package enum LogFormat: String, Sendable, Hashable, CaseIterable {
    case text, json
}

/// What reads the documents of requests.
package enum JSONParserKind: String, Sendable, Hashable, CaseIterable {
    case jansson, native
}

package enum ConfigDriveFormat: String, Sendable, Hashable, CaseIterable {
    case iso9660
}

/// Order in which the hosts of a transport URL are tried.
package enum FailoverStrategy: String, Sendable, Hashable, CaseIterable {
    case roundRobin = "round-robin"
    case shuffle
}

/// SASL mechanism of the connection to the broker.
package enum LoginMethod: String, Sendable, Hashable, CaseIterable {
    case plain = "PLAIN"
    case amqplain = "AMQPLAIN"
    case external = "EXTERNAL"
    case rabbitCRDemo = "RABBIT-CR-DEMO"
}

/// What becomes of a console log when its machine is switched off or reset (VMOps semantics, section 7.5).
package enum ConsoleStopRule: String, Sendable, Hashable, CaseIterable {
    case keep, delete
}

package enum ConsoleCharset: String, Sendable, Hashable, CaseIterable {
    case utf8 = "utf-8"
    case ascii
}

/// How guests' instructions are carried out (QEMU backend, section 2).
package enum QEMUAcceleration: String, Sendable, Hashable, CaseIterable {
    case auto, kvm, tcg
}

/// Where guests see their own disks.
package enum QEMUDiskBus: String, Sendable, Hashable, CaseIterable {
    case virtio, ide
}

/// What the interfaces of real machines are connected to.
package enum QEMUNetwork: String, Sendable, Hashable, CaseIterable {
    case none, tap, user
}

/// Where a control plane's records are written.
package enum NovaConductor: String, Sendable, Hashable, CaseIterable {
    case none, rpc
}

/// What becomes of a machine whose record a control plane has deleted.
package enum NovaDeletedAction: String, Sendable, Hashable, CaseIterable {
    case noop, log, shutdown, reap
}

/// Which notifications are sent of instances that a control plane knows.
package enum NovaNotificationFormat: String, Sendable, Hashable, CaseIterable {
    case unversioned, versioned, both
}

/// What becomes of a machine whose memory cannot be moved in time.
package enum MigrationTimeoutAction: String, Sendable, Hashable, CaseIterable {
    case abort, pause
}
