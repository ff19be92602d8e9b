import Console

import struct Configuration.HostSettings

extension ConsoleSettings {
    init(_ host: HostSettings) {
        let settings = host.console
        self.init()
        segmentBytes = settings.segmentBytes
        archives = settings.archives
        onStop = settings.onStop == .delete ? .delete : .keep
        reconnectInitial = settings.reconnectInitial
        reconnectMax = settings.reconnectMax
        drainTimeout = settings.drainTimeout
        flushInterval = settings.flushInterval
        maxReplyBytes = settings.maxReplyBytes
        spinLimit = settings.spinLimit
        spinWindow = settings.spinWindow
        ringBytes = settings.maxPendingBytes
        stallLimit = settings.stallLimit
        replyCharset = settings.replyCharset == .ascii ? .ascii : .utf8
        stripControl = settings.stripControl
    }
}
