/// What waits to be sent while there is no connection, and how many messages are on their way. A value without I/O.
///
/// Bounded by `capacity` over both; when full, new ones are refused, so that what is told is a run without holes from
/// its beginning on.
struct NotificationQueue<Element> {
    private struct Entry {
        let element: Element
        /// Failed connection attempts that it still outlives; `nil` = any number.
        var failuresLeft: Int?
    }

    private let capacity: Int
    private let failures: Int?
    private var entries: [Entry] = []
    private var onTheWay = 0
    private var isConnected = false

    /// - Parameter failures: how many connection attempts may fail before an entry is dropped; `nil` = any number.
    init(capacity: Int, failures: Int?) {
        self.capacity = capacity
        self.failures = failures
    }

    enum Admission: Equatable { case send, wait, refused }

    var count: Int { entries.count + onTheWay }

    /// - Returns: whether to send it now.
    mutating func admit(_ element: Element) -> Admission {
        guard count < capacity else { return .refused }
        if isConnected {
            onTheWay += 1
            return .send
        }
        entries.append(Entry(element: element, failuresLeft: failures))
        return .wait
    }

    /// - Returns: what is to be sent now.
    mutating func connected() -> [Element] {
        isConnected = true
        return takeAll()
    }

    mutating func disconnected() { isConnected = false }

    /// - Returns: how many were dropped.
    mutating func connectFailed() -> Int {
        isConnected = false
        let before = entries.count
        for index in entries.indices { entries[index].failuresLeft = entries[index].failuresLeft.map { $0 - 1 } }
        entries.removeAll { ($0.failuresLeft ?? 1) <= 0 }
        return before - entries.count
    }

    /// One message has been confirmed or given up.
    mutating func ended() { onTheWay -= 1 }

    /// Hands over everything, connected or not, for the last attempt.
    mutating func takeAll() -> [Element] {
        defer { entries = [] }
        onTheWay += entries.count
        return entries.map(\.element)
    }
}
