import CCurl
import Support
import Synchronization

/// One exchange: an easy handle with its callbacks, and the caller that waits for it.
///
/// The handle is made, used and freed by the client's thread alone (``CurlLoop``), which also is where libcurl calls
/// back; the context it passes is this object, retained by the loop for as long as the handle exists. Only the
/// continuation is touched by other threads, behind a mutex.
final class CurlTransfer: @unchecked Sendable {
    // Unchecked because of the fields below, which belong to the client's thread.
    private static let maximumHeadBytes = 128 << 10

    let request: HTTPRequest
    private let sink: any BodySink
    private var head = HTTPHead()
    private var headBytes = 0
    private var hasBegun = false
    private var failure: HTTPError?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let errorText = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var upload: UploadFile?
    private(set) var easy: UnsafeMutableRawPointer?

    private let waiter: Mutex<CheckedContinuation<Result<HTTPHead, HTTPError>, Never>?>

    init(
        _ request: HTTPRequest,
        sink: any BodySink,
        waiter: CheckedContinuation<Result<HTTPHead, HTTPError>, Never>
    ) {
        self.request = request
        self.sink = sink
        self.waiter = Mutex(waiter)
        errorText.initialize(repeating: 0)
    }

    deinit { errorText.deallocate() }

    /// Ends the caller's waiting; only the first call counts.
    func finish(_ result: Result<HTTPHead, HTTPError>) {
        waiter.withLock { waiter in
            waiter?.resume(returning: result)
            waiter = nil
        }
    }

    // MARK: The client's thread

    /// Makes the handle. The transfer must outlive it: ``release()`` ends it.
    func prepare(_ settings: HTTPSettings) -> UnsafeMutableRawPointer? {
        guard let easy = curl_easy_init() else { return nil }
        self.easy = easy
        let context = Unmanaged.passUnretained(self).toOpaque()
        vmops_curl_set_pointer(easy, CURLOPT_PRIVATE, context)
        vmops_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText.baseAddress)
        vmops_curl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        vmops_curl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        vmops_curl_set_data(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        vmops_curl_set_data(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.header(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        if let path = request.bodyFile {
            do throws(HTTPError) {
                try setUpload(easy, context, path)
            } catch {
                // Found by the loop, which frees the handle.
                failure = error
                return nil
            }
        }
        setRequest(easy)
        setLimits(easy)
        setSecurity(easy, settings)
        return easy
    }

    /// The file's content is asked for piece by piece.
    private func setUpload(
        _ easy: UnsafeMutableRawPointer,
        _ context: UnsafeMutableRawPointer,
        _ path: String
    ) throws(HTTPError) {
        let file = try UploadFile(path)
        upload = file
        vmops_curl_set_long(easy, CURLOPT_UPLOAD, 1)
        vmops_curl_set_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(file.size))
        vmops_curl_set_pointer(easy, CURLOPT_READDATA, context)
        vmops_curl_set_data(easy, CURLOPT_READFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return Int(CURL_READFUNC_ABORT) }
            let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.read(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        // The connection was used before and is gone: the body begins again.
        vmops_curl_set_seek(easy) { context, offset, origin in
            guard let context, origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
            Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().upload?.seek(UInt64(offset))
            return CURL_SEEKFUNC_OK
        }
        vmops_curl_set_pointer(easy, CURLOPT_SEEKDATA, context)
    }

    private func setRequest(_ easy: UnsafeMutableRawPointer) {
        vmops_curl_set_text(easy, CURLOPT_URL, request.url.text)
        vmops_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        vmops_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        vmops_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        vmops_curl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1)
        vmops_curl_set_long(easy, CURLOPT_FRESH_CONNECT, request.usesNewConnection ? 1 : 0)
        vmops_curl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        if request.method == "HEAD" {
            vmops_curl_set_long(easy, CURLOPT_NOBODY, 1)
        } else if upload != nil {
            vmops_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        } else if let body = request.body {
            vmops_curl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
            // One byte more than is sent: a null pointer for an empty body would mean "read from the callback".
            var copy = body + [0]
            vmops_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, &copy)
            vmops_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        } else if request.method != "GET" {
            vmops_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        }
        for header in request.headers {
            // libcurl drops a header without a value unless it is written with a semicolon.
            let line = header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)"
            headerList = curl_slist_append(headerList, line)
        }
        // No waiting for a permission to send the body.
        headerList = curl_slist_append(headerList, "Expect:")
        vmops_curl_set_list(easy, CURLOPT_HTTPHEADER, headerList)
        if let credentials = request.credentials {
            vmops_curl_set_long(easy, CURLOPT_HTTPAUTH, 1)
            vmops_curl_set_text(easy, CURLOPT_USERNAME, credentials.user)
            vmops_curl_set_text(easy, CURLOPT_PASSWORD, credentials.password.secret)
        }
    }

    private func setLimits(_ easy: UnsafeMutableRawPointer) {
        let deadlines = request.deadlines
        vmops_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, max(deadlines.connect.wholeMilliseconds, 1))
        vmops_curl_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, 1)
        vmops_curl_set_long(easy, CURLOPT_LOW_SPEED_TIME, max(deadlines.stall.wholeMilliseconds / 1000, 1))
        if let total = deadlines.total {
            vmops_curl_set_long(easy, CURLOPT_TIMEOUT_MS, max(total.wholeMilliseconds, 1))
        }
    }

    private func setSecurity(_ easy: UnsafeMutableRawPointer, _ settings: HTTPSettings) {
        vmops_curl_set_text(easy, CURLOPT_USERAGENT, settings.userAgent)
        // An empty text switches off what the environment says.
        vmops_curl_set_text(easy, CURLOPT_PROXY, settings.proxy ?? "")
        vmops_curl_set_long(easy, CURLOPT_SSL_VERIFYPEER, settings.verifiesPeers ? 1 : 0)
        vmops_curl_set_long(easy, CURLOPT_SSL_VERIFYHOST, settings.verifiesPeers ? 2 : 0)
        if let file = settings.caFile {
            vmops_curl_set_text(easy, CURLOPT_CAINFO, file)
            vmops_curl_set_text(easy, CURLOPT_CAPATH, nil)
        }
        if let file = settings.certificateFile {
            vmops_curl_set_text(easy, CURLOPT_SSLCERT, file)
            vmops_curl_set_text(easy, CURLOPT_SSLKEY, settings.keyFile ?? file)
        }
    }

    /// Frees the handle, which is in no multi handle any more.
    func release() {
        if let easy { curl_easy_cleanup(easy) }
        curl_slist_free_all(headerList)
        easy = nil
        headerList = nil
        upload = nil
    }

    /// What a finished exchange comes to.
    func result(_ code: CURLcode) -> Result<HTTPHead, HTTPError> {
        if let failure { return .failure(failure) }
        guard code == CURLE_OK else { return .failure(CurlFailure.error(code, errorWords, request.url)) }
        do throws(HTTPError) {
            try begin()
            return .success(head)
        } catch {
            return .failure(error)
        }
    }

    private var errorWords: String {
        String(decoding: errorText.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Why it cannot even begin.
    var refusal: HTTPError? { failure }

    // MARK: Callbacks

    private func read(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        do throws(HTTPError) {
            return try upload?.read(buffer) ?? 0
        } catch {
            failure = error
            return Int(CURL_READFUNC_ABORT)
        }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        do throws(HTTPError) {
            try begin()
            try sink.receive(bytes)
            return true
        } catch {
            failure = error
            return false
        }
    }

    private func begin() throws(HTTPError) {
        if hasBegun { return }
        hasBegun = true
        try sink.begin(head)
    }

    /// A line of the head. An interim response is forgotten when the next status line comes.
    private func header(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headBytes += bytes.count
        guard headBytes <= Self.maximumHeadBytes else {
            failure = HTTPError(.protocolViolation, "\(request.url) sends an endless head")
            return false
        }
        let end = bytes.lastIndex { $0 != 13 && $0 != 10 }.map { $0 + 1 } ?? 0
        let line = String(decoding: bytes[..<end], as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            let words = line.split(separator: " ", maxSplits: 2)
            head = HTTPHead(status: words.count > 1 ? Int(words[1]) ?? 0 : 0)
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            head.headers.append(HTTPHeader(String(line[..<colon]), String(value)))
        }
        return true
    }
}

extension Duration {
    /// For libcurl's options; saturating.
    fileprivate var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        let (product, overflow) = Int(seconds).multipliedReportingOverflow(by: 1000)
        return overflow ? Int.max >> 1 : product + Int(attoseconds / 1_000_000_000_000_000)
    }
}
