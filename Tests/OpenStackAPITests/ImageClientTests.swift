import Foundation
import HTTPClient
import OpenStackAPI
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct ImageClientTests {
    private static let id = "3f0c9a52-7f4e-4d39-8a5b-0f6c2d1e4b88"
    // Not kept: the leak detection does not see what a `Data` alone holds.
    private static var content: Data { Data((0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }) }

    private static func client(_ cloud: CloudServer) throws -> ImageClient {
        try ImageClient(try cloud.service("image"), logger: quiet)
    }

    /// A file to be sent, and a record without content.
    private static func queued(_ cloud: CloudServer, _ directory: String) async throws -> String {
        let path = directory + "/disk"
        try content.write(to: URL(filePath: path))
        try await cloud.put("image", id, ["id": .string(id), "status": "queued", "disk_format": "raw"])
        return path
    }

    @Test func aFileBecomesTheContentOfAnImage() async throws {
        try await CloudServer.run { cloud in
            try await withTemporaryDirectory { directory in
                let path = try await Self.queued(cloud, directory)
                let client = try Self.client(cloud)
                try await client.fill(Self.id, from: path, format: "qcow2")
                let image = try #require(try await client.image(Self.id))
                #expect(image["status"] == "active")
                #expect(image["disk_format"] == "qcow2")
                #expect(image["container_format"] == "bare")
                #expect(image["size"] == .int(Int64(Self.content.count)))
                let sent = try await cloud.state("data")[Self.id]?.stringValue
                #expect(sent == Self.content.base64EncodedString())
                // Again, after a crash.
                try await client.fill(Self.id, from: path, format: "qcow2")
                #expect(try await cloud.count("PUT", "/image") == 1)
                try await client.delete(Self.id)
                try await client.delete(Self.id)
                #expect(try await client.image(Self.id) == nil)
            }
        }
    }

    @Test func anUploadSurvivesALostAnswerAnOutageAndAnExpiredToken() async throws {
        try await CloudServer.run { cloud in
            try await withTemporaryDirectory { directory in
                let path = try await Self.queued(cloud, directory)
                let client = try Self.client(cloud)
                try await cloud.fail("PUT", "/image", status: 503, count: 2)
                try await cloud.fail("PUT", "/image", status: 401)
                try await cloud.fail("PUT", "/image", status: 0)
                try await client.fill(Self.id, from: path, format: "raw")
                #expect(try await client.image(Self.id)?["status"] == "active")
                #expect(try await cloud.count("PUT", "/image") == 4)
                #expect(try await cloud.count("POST", "/identity") == 2)
            }
        }
    }

    @Test func anUploadThatIsRefusedOrHasNoFileEnds() async throws {
        try await CloudServer.run { cloud in
            try await withTemporaryDirectory { directory in
                let path = try await Self.queued(cloud, directory)
                let client = try Self.client(cloud)
                #expect(
                    await failure { try await client.fill(Self.id, from: path + "-none", format: "raw") }?.code
                        == .failed
                )
                try await cloud.fail("PUT", "/image", status: 413)
                #expect(await failure { try await client.fill(Self.id, from: path, format: "raw") }?.code == .refused)
                try await cloud.put("image", Self.id, .null)
                #expect(await failure { try await client.fill(Self.id, from: path, format: "raw") }?.code == .notFound)
            }
        }
    }

    @Test func aContentIsAskedForWithATokenThatCanBeReplaced() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            let first = try await client.content(of: Self.id, isRefused: false)
            #expect(first.url.path == "/image/v2/images/\(Self.id)/file")
            let second = try await client.content(of: Self.id, isRefused: true)
            #expect(first.headers.first { $0.name == "X-Auth-Token" } != nil)
            #expect(first.headers != second.headers)
        }
    }
}
