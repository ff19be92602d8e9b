import Logging
import Support

extension HTTPClient {
    /// Fetches a body into a file, continuing after broken connections where the server can.
    ///
    /// The file is not synced. On failure and cancellation it keeps what has come, for a later call with the validator
    /// that ``HTTPDownload/onStart`` gave.
    ///
    /// - Throws: `status` for any answer but a good one; `tooLarge`, `noSpace`, `file`; what remains after the last try
    ///   otherwise.
    package func download(_ download: HTTPDownload) async throws(HTTPError) -> HTTPDownloadResult {
        let file = try await blocking { () throws(HTTPError) in try DownloadFile(download.path) }
        var validator = download.resume
        var backoff = Backoff(initial: .milliseconds(200), maximum: .seconds(10))
        var attempt = 1
        while true {
            let sink = FileSink(file, download)
            do throws(HTTPError) {
                return try await fetch(download, file, sink, validator)
            } catch {
                if sink.hasBegun { validator = sink.validator }
                // What is there cannot be continued, so it goes.
                let isUnsatisfiable = error.status == 416 && validator != nil
                if isUnsatisfiable { validator = nil }
                guard error.isRetriable || isUnsatisfiable, attempt < download.attempts else { throw error }
                attempt += 1
                logger.notice(
                    "download interrupted, trying again",
                    metadata: ["url": "\(download.request.url)", "reason": "\(error)", "attempt": "\(attempt)"]
                )
            }
            do {
                try await Task.sleep(for: backoff.next())
            } catch {
                throw HTTPError(.cancelled, "the download was cancelled")
            }
        }
    }

    /// One try.
    private func fetch(
        _ download: HTTPDownload,
        _ file: DownloadFile,
        _ sink: FileSink,
        _ validator: HTTPValidator?
    ) async throws(HTTPError) -> HTTPDownloadResult {
        var request = download.request
        let present = try await blocking { () throws(HTTPError) in
            if validator == nil { try file.truncate() }
            return try file.size()
        }
        if present > 0, let validator {
            request.headers.append(HTTPHeader("Range", "bytes=\(present)-"))
            request.headers.append(HTTPHeader("If-Range", validator.text))
            sink.expect(offset: present)
        }
        let (head, url) = try await follow(request) { _ in sink }
        // Nothing is missing: an earlier call had come to the end.
        if head.status == 416, present > 0, head["Content-Range"] == "bytes */\(present)" {
            return HTTPDownloadResult(bytes: present, url: url, hasCertainEnd: true, resumedFrom: present)
        }
        guard head.status == 200 || head.status == 206 else {
            throw HTTPError(.status, "\(url) answered with status \(head.status)", status: head.status)
        }
        return try sink.result(head, url)
    }

    private func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws(HTTPError) -> Value
    ) async throws(HTTPError) -> Value {
        do {
            return try await BlockingPool.shared.run(body)
        } catch let error as HTTPError {
            throw error
        } catch {
            throw HTTPError(.file, "\(error)")
        }
    }
}
