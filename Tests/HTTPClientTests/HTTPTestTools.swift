import Foundation
import HTTPClient
import Logging
import TestSupport

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Generous, but for the tests of deadlines themselves.
let deadlines = HTTPDeadlines(connect: .seconds(20), stall: .seconds(20), total: .seconds(50))

func request(_ url: String) throws -> HTTPRequest { try request("GET", url) }

func request(_ method: String, _ url: String) throws -> HTTPRequest {
    HTTPRequest(method, try HTTPURL(url), deadlines: deadlines)
}

func code(_ body: () async throws -> Void) async -> HTTPError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? HTTPError)?.code
    }
}

func json(_ response: HTTPResponse) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any] ?? [:]
}

func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }
