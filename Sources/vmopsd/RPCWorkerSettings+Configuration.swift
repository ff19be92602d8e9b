import ComputeRPC
import Configuration
import JSONCodec
import Logging
import OsloMessaging
import RPCWorker
import Support

extension RPCWorkerSettings {
    /// - Parameter fanoutSeed: of the process in whose place this one goes on; `nil` = it is the first.
    init(_ settings: Settings, fanoutSeed: String?) {
        let messaging = settings.messaging
        self.init(
            exchange: messaging.controlExchange,
            topics: [messaging.computeTopic] + [messaging.computeAltTopic].compactMap { $0 },
            topology: settings.topologyOptions,
            prefetch: UInt16(clamping: settings.limits.prefetch),
            admission: AdmissionLimits(settings.limits),
            partnerMethods: Set(DriverMethods.peerMethods),
            replies: ReplySettings(
                mandatory: messaging.directMandatory,
                retryTimeout: messaging.missingConsumerRetryTimeout
            ),
            maximumMessageBytes: settings.limits.maxMessageBytes,
            replyQueuePrefixes: settings.limits.allowedReplyQueues,
            parser: messaging.jsonParser == .native ? .native : .jansson,
            ping: messaging.rpcPingEnabled,
            drainTimeout: settings.limits.drainTimeout,
            fanoutSeed: fanoutSeed ?? UniqueID.make()
        )
    }
}

extension AdmissionLimits {
    init(_ limits: LimitSettings) {
        self.init(running: limits.maxInflight, runningPerHost: limits.maxInflight)
    }
}

extension Logger.Level {
    init(_ level: LogLevel) {
        self =
            switch level {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            case .critical: .critical
            }
    }
}
