import Foundation
import Glibc
import HostBackend
import Support
import TestSupport
import Testing

@testable import DiskTransfer

/// Who may send disks and to whom, and what a listener on the wire sees of them.
@Suite(.timeLimit(.minutes(2))) struct TransferTLSTests {
    private static let secret = "a line that nobody else is to read"

    /// Certificates of two authorities, and a disk.
    private struct World {
        let directory: String
        let uuid: InstanceUUID

        /// - Parameter authority: `hosts`, `others`, or `away`, whose certificates are for another address.
        func certificates(_ host: String, of authority: String = "hosts", name: String? = nil) -> MigrationCertificates
        {
            let path = directory + "/" + authority
            return MigrationCertificates(
                authority: path + "/ca.pem",
                certificate: "\(path)/\(host).pem",
                key: "\(path)/\(host).key",
                name: name
            )
        }

        func carrier(_ tls: MigrationCertificates?, _ address: String = "127.0.0.1") -> DiskTransfer {
            DiskTransfer(address: address, tls: tls, limit: .seconds(20))
        }

        var target: String { directory + "/there" }
        var isThere: Bool { FileManager.default.fileExists(atPath: target) }

        func expect(_ carrier: DiskTransfer, from source: JSONObject) async throws -> JSONObject {
            try await carrier.expect(
                uuid,
                transfer: "t",
                disks: [CarriedDisk(number: 0, path: target)],
                from: source
            )
        }

        func send(_ carrier: DiskTransfer, to way: JSONObject) async throws {
            try await carrier.send([CarriedDisk(number: 0, path: directory + "/disk")], to: way) { _, _ in }
        }

        /// What became of a transfer; `nil` = it went through.
        func failure(_ carrier: DiskTransfer, to way: JSONObject) async -> BackendError? {
            do {
                try await send(carrier, to: way)
                return nil
            } catch {
                return error as? BackendError ?? BackendError(.internal, "\(error)")
            }
        }
    }

    private static func run(_ body: (World) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            let text = String(repeating: Self.secret + "\n", count: 5000)
            try Data(text.utf8).write(to: URL(filePath: directory + "/disk"))
            let uuid = try #require(InstanceUUID(UniqueID.makeDashed()))
            try await body(World(directory: directory, uuid: uuid))
        }
    }

    @Test(arguments: [true, false]) func whatGoesOverTheWireIsPlainOnlyWithoutTLS(encrypted: Bool) async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a", "host-b"], in: world.directory + "/hosts")
            let source = world.carrier(encrypted ? world.certificates("host-a") : nil)
            let destination = world.carrier(encrypted ? world.certificates("host-b") : nil)
            var way = try await world.expect(destination, from: try source.agree(to: destination.offer))
            let wire = try WireRecorder(to: Int(try #require(way["port"]?.intValue)))
            defer { wire.stop() }
            way["port"] = .int(Int64(wire.port))
            try await world.send(source, to: way)
            #expect(try Data(contentsOf: URL(filePath: world.target)).starts(with: Data(Self.secret.utf8)))
            let seen = wire.bytes
            #expect(seen.count > 100_000)
            let key = try #require(way["key"]?.stringValue)
            for text in [Self.secret, key, "sha256"] {
                #expect((seen.range(of: Data(text.utf8)) == nil) == encrypted, "\(text)")
            }
        }
    }

    @Test func strangersAreSentAway() async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a", "host-b", "host-c"], in: world.directory + "/hosts")
            try await HostCertificates.make(["host-a", "host-b"], in: world.directory + "/others")
            let named: JSONObject = ["tls_name": "host-a"]
            let destination = world.carrier(world.certificates("host-b", name: "host-b"))
            /// The transfer by a source with that certificate, if it knew the key of another's transfer.
            func attempt(_ certificates: MigrationCertificates?) async throws -> BackendError? {
                await world.failure(world.carrier(certificates), to: try await world.expect(destination, from: named))
            }
            let plain = try #require(try await attempt(nil))
            #expect(plain.code == .unavailable, "\(plain)")
            let stranger = try #require(try await attempt(world.certificates("host-a", of: "others")))
            #expect(stranger.code == .unauthorized, "\(stranger)")
            #expect(stranger.message.contains("certificate of the other host is refused"))
            // The right authority, and another host.
            let other = try #require(try await attempt(world.certificates("host-c")))
            #expect(other.message.contains("not for host-a"), "\(other)")
            // The source trusts that host, which does not trust it; its word about that may be lost with the connection.
            var mixed = world.certificates("host-a", of: "others")
            mixed.authority = world.certificates("host-b").authority
            let unknown = try #require(try await attempt(mixed))
            #expect([.unauthorized, .unavailable].contains(unknown.code), "\(unknown)")
            // The destination is another than was agreed on.
            var way = try await world.expect(destination, from: named)
            way["tls_name"] = "host-c"
            let wrong = await world.failure(world.carrier(world.certificates("host-a")), to: way)
            #expect(wrong?.message.contains("ostname mismatch") == true, "\(String(describing: wrong))")
            #expect(!world.isThere)
            // Without saying who it is, nobody is expected.
            await #expect(throws: BackendError.self) { _ = try await world.expect(destination, from: [:]) }
            #expect(try await attempt(world.certificates("host-a")) == nil)
            #expect(world.isThere)
        }
    }

    @Test func bothUseTLSOrNeither() async throws {
        try await Self.run { world in
            let (plain, secure) = (world.carrier(nil), world.carrier(world.certificates("host-a")))
            for (source, destination, word) in [(plain, secure, "wants TLS"), (secure, plain, "does not use TLS")] {
                let error = #expect(throws: BackendError.self) {
                    _ = try source.agree(to: destination.offer)
                }
                #expect(error?.code == .invalidArgument)
                #expect(error?.message.contains(word) == true)
            }
            let (nothing, name) = (try plain.agree(to: plain.offer), try secure.agree(to: secure.offer))
            #expect(nothing == [:] && name == ["tls_name": "127.0.0.1"])
            // One of an earlier release offers nothing.
            #expect(throws: BackendError.self) { _ = try secure.agree(to: [:]) }
        }
    }

    /// A certificate counts for the address that its host is reached at, or for the name that it is said to have.
    @Test(arguments: ["127.0.0.1", "::1"]) func addressesAreOfEitherKind(_ address: String) async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a", "host-b"], address: address, in: world.directory + "/hosts")
            try await HostCertificates.make(["host-b"], address: "192.0.2.1", in: world.directory + "/away")
            var away = world.certificates("host-b", of: "away")
            let source = world.carrier(world.certificates("host-a"), address)
            let destination = world.carrier(world.certificates("host-b"), address)
            let agreed = try source.agree(to: destination.offer)
            #expect(agreed["tls_name"]?.stringValue == address)
            try await world.send(source, to: try await world.expect(destination, from: agreed))
            #expect(world.isThere)
            try FileManager.default.removeItem(atPath: world.target)
            // Signed by the authority that the source trusts.
            var trusting = world.certificates("host-a")
            trusting.authority = away.authority
            let cautious = world.carrier(trusting, address)
            away.authority = world.certificates("host-a").authority
            let elsewhere = world.carrier(away, address)
            let refused = await world.failure(cautious, to: try await world.expect(elsewhere, from: agreed))
            #expect(refused?.message.contains("mismatch") == true, "\(String(describing: refused))")
            away.name = "host-b"
            let known = world.carrier(away, address)
            try await world.send(cautious, to: try await world.expect(known, from: agreed))
            #expect(world.isThere)
        }
    }

    @Test func filesThatAreNoCertificatesAreNamed() async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a", "host-b"], in: world.directory + "/hosts")
            let destination = world.carrier(world.certificates("host-b"))
            for option in ["tls_ca_file", "tls_cert_file", "tls_key_file"] {
                var broken = world.certificates("host-a")
                switch option {
                case "tls_ca_file": broken.authority = world.directory + "/disk"
                case "tls_cert_file": broken.certificate = world.directory + "/nothing"
                default: broken.key = world.certificates("host-b").key
                }
                let way = try await world.expect(destination, from: ["tls_name": "host-a"])
                let error = await world.failure(world.carrier(broken), to: way)
                #expect(error?.code == .invalidArgument && error?.message.contains(option) == true)
            }
        }
    }

    /// A disk may be larger than what one key is good for.
    @Test func theKeyChangesOnTheWay() async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a", "host-b"], in: world.directory + "/hosts")
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            defer { for end in ends { close(end) } }
            let source = try TLSSession(
                ends[0],
                .source,
                world.certificates("host-a"),
                peer: "host-b",
                keyBytes: 10_000
            )
            let destination = try TLSSession(ends[1], .destination, world.certificates("host-b"), peer: nil)
            let pieces = (0..<50).map { number in [UInt8](repeating: UInt8(number), count: 4000) }
            let receiving = BlockingPool(label: "test", width: 1)
            async let received = receiving.run {
                try destination.shakeHands()
                try destination.checkPeer("host-a")
                return try destination.receive(50 * 4000)
            }
            try source.shakeHands()
            for piece in pieces { try source.send(piece) }
            #expect(try await received == pieces.flatMap { $0 })
        }
    }

    @Test func oneWhoSaysNothingIsNotWaitedForLonger() async throws {
        try await Self.run { world in
            try await HostCertificates.make(["host-a"], in: world.directory + "/hosts")
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            defer { for end in ends { close(end) } }
            var limit = timeval(tv_sec: 0, tv_usec: 50_000)
            setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let session = try TLSSession(ends[0], .source, world.certificates("host-a"), peer: "host-b")
            let error = #expect(throws: BackendError.self) { try session.shakeHands() }
            #expect(error?.code == .timeout)
        }
    }

    @Test func aPortOfTheRangeIsTakenWhileThereIsOne() async throws {
        try await Self.run { world in
            let first = DiskTransfer(address: "127.0.0.1")
            let taken = Int(try #require(try await world.expect(first, from: [:])["port"]?.intValue))
            let none = DiskTransfer(address: "127.0.0.1", ports: taken...taken)
            let error = await #expect(throws: BackendError.self) { _ = try await world.expect(none, from: [:]) }
            #expect(error?.code == .resourceExhausted)
            let range = taken...min(taken + 300, 65_535)
            let third = DiskTransfer(address: "127.0.0.1", ports: range)
            let way = try await world.expect(third, from: [:])
            let port = Int(try #require(way["port"]?.intValue))
            #expect(range.contains(port) && port != taken)
            try await world.send(first, to: way)
            #expect(world.isThere)
        }
    }
}
