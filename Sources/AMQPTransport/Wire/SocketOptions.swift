import Glibc

/// Options of a connected broker socket.
enum SocketOptions {
    // Linux's numbers for ioctl SIOCOUTQ, which the Glibc module leaves out as a macro of a macro.
    private static let outputQueueRequest: UInt = 0x5411

    /// Small writes go out at once, a vanished peer is noticed by the kernel too: unacknowledged data is given up
    /// after two heartbeats.
    ///
    /// `fixedSendBuffer` asks for a send queue large enough for ``hasRoom(_:for:)`` at once instead of a growing one.
    static func prepare(_ descriptor: Int32, heartbeatSeconds: Int, fixedSendBuffer: Bool) {
        if fixedSendBuffer { set(descriptor, SOL_SOCKET, SO_SNDBUF, 1 << 20) }
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        let interval = heartbeatSeconds > 0 ? heartbeatSeconds : 60
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, Int32(clamping: interval))
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, Int32(clamping: max(1, interval / 3)))
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        setUserTimeout(descriptor, milliseconds: userTimeout(heartbeatSeconds))
    }

    /// While the broker has blocked us it may keep its window shut for as long as it likes, which `TCP_USER_TIMEOUT`
    /// would take for a dead peer; heartbeats from the broker go on and are watched.
    static func setBlocked(_ blocked: Bool, _ descriptor: Int32, heartbeatSeconds: Int) {
        setUserTimeout(descriptor, milliseconds: blocked ? 0 : userTimeout(heartbeatSeconds))
    }

    /// Whether a frame of `size` bytes certainly goes into the send queue in one piece. The kernel counts its own
    /// overhead in the buffer's size, hence the factor.
    static func hasRoom(_ descriptor: Int32, for size: Int) -> Bool {
        var queued: Int32 = 0
        guard ioctl(descriptor, outputQueueRequest, &queued) == 0 else { return true }
        var limit: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &limit, &length) == 0 else { return true }
        return queued == 0 || (Int(queued) + size) * 2 < Int(limit)
    }

    private static func userTimeout(_ heartbeatSeconds: Int) -> Int32 {
        Int32(clamping: heartbeatSeconds > 0 ? heartbeatSeconds * 2_000 : 120_000)
    }

    private static func setUserTimeout(_ descriptor: Int32, milliseconds: Int32) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds)
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        // Options are an improvement, not a condition: a kernel without one of them still serves.
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
