package import HTTPClient
package import Logging
package import Support

/// The image service (Nova's compute RPC, section 5.3).
package struct ImageClient: Sendable {
    private static let patchType = "application/openstack-images-v2.1-json-patch"
    /// Silence in the middle of an image.
    private static let stall = Duration.seconds(120)

    private let service: CloudService
    private let logger: Logger
    /// For contents, which would hold up short requests: files are read and written on a client's thread.
    package let contents: HTTPClient

    package init(_ service: CloudService, logger: Logger) throws(OpenStackError) {
        self.service = service
        self.logger = logger
        do {
            contents = try HTTPClient(settings: service.settings.http, logger: logger)
        } catch {
            throw OpenStackError(error, service.name)
        }
    }

    private static func path(_ id: String) -> String { "/v2/images/\(id)" }

    /// What the service says of an image; `nil` when it has none of that identifier.
    package func image(_ id: String) async throws(OpenStackError) -> JSONObject? {
        let answer = try await service.send("GET", Self.path(id), accepting: [404])
        return answer.status == 404 ? nil : answer.body.objectValue
    }

    /// The request for an image's content.
    ///
    /// - Parameter isRefused: the request before was answered with 401, so that another token is needed.
    package func content(of id: String, isRefused: Bool) async throws(OpenStackError) -> HTTPRequest {
        var (url, headers, token) = try await service.address(Self.path(id) + "/file")
        if isRefused {
            service.discard(token)
            (url, headers, token) = try await service.address(Self.path(id) + "/file")
        }
        return HTTPRequest("GET", url, headers: headers)
    }

    /// Fills an image that the API has made with the content of a file. May be repeated: an image that has its content
    /// already is left alone.
    ///
    /// - Parameters:
    ///   - format: Nova's `disk_format`: `raw`, `qcow2`, `vhd`, `vhdx`.
    /// - Throws: `notFound` when the image was deleted meanwhile; `conflict` when it has another state.
    package func fill(_ id: String, from path: String, format: String) async throws(OpenStackError) {
        guard let image = try await image(id) else {
            throw OpenStackError(.notFound, "\(service.name) has no image \(id)", status: 404)
        }
        if image["status"] == "active" { return }
        var changes: [JSONValue] = []
        for (name, value) in [("disk_format", format), ("container_format", "bare")] {
            if image[name]?.stringValue == value { continue }
            let operation = image[name] == nil ? "add" : "replace"
            changes.append(["op": .string(operation), "path": .string("/" + name), "value": .string(value)])
        }
        if !changes.isEmpty {
            _ = try await service.send(
                "PATCH",
                Self.path(id),
                .array(changes),
                headers: [HTTPHeader("Content-Type", Self.patchType)]
            )
        }
        try await upload(id, path)
    }

    private func upload(_ id: String, _ file: String) async throws(OpenStackError) {
        let path = Self.path(id) + "/file"
        var pauses = Backoff(initial: service.settings.retryDelay, maximum: service.settings.longestDelay)
        for attempt in 0... {
            let failure: OpenStackError
            do throws(OpenStackError) {
                let response = try await service.authorized(path) { url, token throws(OpenStackError) in
                    var request = HTTPRequest("PUT", url, headers: token, bodyFile: file)
                    request.usesNewConnection = true
                    request.headers.append(HTTPHeader("Content-Type", "application/octet-stream"))
                    request.deadlines = HTTPDeadlines(
                        connect: service.settings.deadlines.connect,
                        stall: Self.stall,
                        total: nil
                    )
                    do throws(HTTPError) {
                        return try await contents.send(request)
                    } catch {
                        throw OpenStackError(error, service.name)
                    }
                }
                if (200...299).contains(response.status) { return }
                failure = service.exchange.failure(response, "PUT", path)
            } catch {
                failure = error
            }
            // An answer that was lost, or an upload that was taken back.
            if failure.code == .conflict || failure.code == .unavailable,
                try await image(id)?["status"] == "active"
            {
                return
            }
            guard failure.code == .unavailable, attempt < service.settings.statusRetries else { throw failure }
            logger.notice("upload interrupted, trying again", metadata: ["image": "\(id)", "reason": "\(failure)"])
            do {
                try await Task.sleep(for: pauses.next())
            } catch {
                throw OpenStackError(.cancelled, "the upload was cancelled")
            }
        }
    }

    /// Removes an image; one that is gone is removed already.
    package func delete(_ id: String) async throws(OpenStackError) {
        _ = try await service.send("DELETE", Self.path(id), accepting: [404])
    }
}
