import CCurl
import Support
import Synchronization

/// The client's thread: a multi handle and the transfers in it.
///
/// The thread alone uses the multi handle, except for `curl_multi_wakeup`, which libcurl allows from every thread and
/// which is called under the mutex that also says whether the handle still exists.
final class CurlLoop: Sendable {
    private struct Handle: @unchecked Sendable {
        // Unchecked because a C pointer is not Sendable; see above for who uses it.
        let multi: UnsafeMutableRawPointer
    }

    private struct State {
        var handle: Handle?
        var isStopped = false
        var added: [(number: UInt64, transfer: CurlTransfer)] = []
        var cancelled: [UInt64] = []
    }

    /// Nothing but a wake-up or an event ends the waiting sooner.
    private static let idleMilliseconds: Int32 = 60_000

    private static let library: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    private let settings: HTTPSettings
    private let state = Mutex(State())
    private let numbers = Atomic<UInt64>(0)

    init(_ settings: HTTPSettings) throws(HTTPError) {
        self.settings = settings
        guard Self.library == CURLE_OK, let multi = curl_multi_init() else {
            throw HTTPError(.failed, "libcurl cannot be initialised")
        }
        vmops_curl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, settings.maximumConnectionsPerHost)
        vmops_curl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, settings.maximumConnections)
        vmops_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, settings.maximumConnections)
        let handle = Handle(multi: multi)
        state.withLock { $0.handle = handle }
        do {
            try ReactorThread.start(name: "http") { self.run(handle) }
        } catch {
            curl_multi_cleanup(multi)
            throw HTTPError(.failed, "no thread for the client: \(error)")
        }
    }

    /// Makes one exchange; the caller's cancellation ends it.
    func perform(_ request: HTTPRequest, sink: any BodySink) async throws(HTTPError) -> HTTPHead {
        let number = numbers.wrappingAdd(1, ordering: .relaxed).oldValue
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let transfer = CurlTransfer(request, sink: sink, waiter: continuation)
                let isTaken = state.withLock { state in
                    guard let handle = state.handle, !state.isStopped else { return false }
                    state.added.append((number, transfer))
                    curl_multi_wakeup(handle.multi)
                    return true
                }
                if !isTaken { transfer.finish(.failure(HTTPError(.closed, "the HTTP client is closed"))) }
                // A cancellation before the transfer was added has found nothing to cancel.
                if Task.isCancelled { cancel(number) }
            }
        } onCancel: {
            cancel(number)
        }
        return try result.get()
    }

    private func cancel(_ number: UInt64) {
        state.withLock { state in
            guard let handle = state.handle else { return }
            state.cancelled.append(number)
            curl_multi_wakeup(handle.multi)
        }
    }

    /// Ends the thread; what is under way fails with `closed`. Does not wait.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            if let handle = state.handle { curl_multi_wakeup(handle.multi) }
        }
    }

    // MARK: The thread

    private func run(_ handle: Handle) {
        let multi = handle.multi
        var transfers: [UInt64: CurlTransfer] = [:]
        var running: Int32 = 0
        while true {
            let (added, cancelled, isStopped) = state.withLock { state in
                defer { (state.added, state.cancelled) = ([], []) }
                return (state.added, state.cancelled, state.isStopped)
            }
            for (number, transfer) in added {
                if add(transfer, to: multi) { transfers[number] = transfer }
            }
            for number in cancelled {
                guard let transfer = transfers.removeValue(forKey: number) else { continue }
                end(transfer, in: multi, .failure(HTTPError(.cancelled, "the request was cancelled")))
            }
            if isStopped { break }
            curl_multi_perform(multi, &running)
            complete(multi, &transfers)
            curl_multi_poll(multi, nil, 0, Self.idleMilliseconds, nil)
        }
        let late = state.withLock { state in
            state.handle = nil
            return state.added.map(\.transfer)
        }
        let closed = Result<HTTPHead, HTTPError>.failure(HTTPError(.closed, "the HTTP client is closed"))
        for transfer in transfers.values { end(transfer, in: multi, closed) }
        for transfer in late { transfer.finish(closed) }
        curl_multi_cleanup(multi)
    }

    private func add(_ transfer: CurlTransfer, to multi: UnsafeMutableRawPointer) -> Bool {
        if let easy = transfer.prepare(settings), curl_multi_add_handle(multi, easy) == CURLM_OK { return true }
        transfer.release()
        transfer.finish(.failure(transfer.refusal ?? HTTPError(.failed, "libcurl cannot start a request")))
        return false
    }

    private func complete(_ multi: UnsafeMutableRawPointer, _ transfers: inout [UInt64: CurlTransfer]) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let code = vmops_curl_result(message)
            guard let (number, transfer) = transfers.first(where: { $0.value.easy == easy }) else { continue }
            transfers[number] = nil
            end(transfer, in: multi, transfer.result(code))
        }
    }

    private func end(
        _ transfer: CurlTransfer,
        in multi: UnsafeMutableRawPointer,
        _ result: Result<HTTPHead, HTTPError>
    ) {
        if let easy = transfer.easy { curl_multi_remove_handle(multi, easy) }
        transfer.release()
        transfer.finish(result)
    }
}
