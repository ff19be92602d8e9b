import CCurl
import Support

/// libcurl's URL parser. The handle and every text it returns live for one call of ``parse(_:relativeTo:)``.
enum CurlURL {
    private static let maximumBytes = 8192

    static func parse(_ text: String, relativeTo base: HTTPURL?) throws(HTTPError) -> HTTPURL {
        guard !text.isEmpty, text.utf8.count <= maximumBytes, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw HTTPError(.invalidRequest, "not a URL: empty, too long, or with blanks or control characters")
        }
        guard let handle = curl_url() else { throw HTTPError(.failed, "no memory for a URL") }
        defer { curl_url_cleanup(handle) }
        if let base { try check(curl_url_set(handle, CURLUPART_URL, base.text, 0)) }
        try check(curl_url_set(handle, CURLUPART_URL, text, 0))
        let scheme = (part(handle, CURLUPART_SCHEME) ?? "").lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw HTTPError(.invalidRequest, "not a URL of http or https")
        }
        guard let host = part(handle, CURLUPART_HOST)?.lowercased(), !host.isEmpty else {
            throw HTTPError(.invalidRequest, "a URL without a host")
        }
        let credentials = part(handle, CURLUPART_USER, UInt32(CURLU_URLDECODE)).map { user in
            let password = part(handle, CURLUPART_PASSWORD, UInt32(CURLU_URLDECODE)) ?? ""
            return HTTPCredentials(user: user, password: Redacted(password))
        }
        for secret in [CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT] {
            try check(curl_url_set(handle, secret, nil, 0))
        }
        guard let plain = part(handle, CURLUPART_URL) else { throw HTTPError(.invalidRequest, "not a URL") }
        return HTTPURL(
            scheme: scheme,
            host: host,
            port: part(handle, CURLUPART_PORT, UInt32(CURLU_DEFAULT_PORT)).flatMap(Int.init) ?? 0,
            path: part(handle, CURLUPART_PATH) ?? "/",
            query: part(handle, CURLUPART_QUERY),
            credentials: credentials,
            text: plain
        )
    }

    private static func part(_ handle: OpaquePointer, _ part: CURLUPart, _ flags: UInt32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, flags) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }

    private static func check(_ code: CURLUcode) throws(HTTPError) {
        guard code != CURLUE_OK else { return }
        throw HTTPError(.invalidRequest, "not a URL: \(String(cString: curl_url_strerror(code)))")
    }
}
