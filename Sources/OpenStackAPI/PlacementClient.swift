import HTTPClient
package import Logging
import Support

/// The placement service: what a host offers, and what has been promised of it (Nova's compute RPC, section 5.1).
///
/// Each change names the generation that it is made to; when somebody was faster, the present state is read and the
/// change made again. Every call may be repeated without harm.
package struct PlacementClient: Sendable {
    private static let rounds = 5
    private static let version = HTTPHeader("OpenStack-API-Version", "placement 1.36")

    private let service: CloudService
    private let logger: Logger

    package init(_ service: CloudService, logger: Logger) {
        self.service = service
        self.logger = logger
    }

    private func send(
        _ method: String,
        _ path: String,
        _ document: JSONValue? = nil,
        accepting accepted: Set<Int> = []
    ) async throws(OpenStackError) -> CloudService.Answer {
        // What is created is named by the client, so that also a POST may be repeated.
        try await service.send(
            method,
            path,
            document,
            headers: [Self.version],
            isRepeatable: true,
            accepting: accepted
        )
    }

    // MARK: - The provider

    /// Makes the host's provider, its inventories and its traits what they ought to be; what is right already is not
    /// written.
    package func report(_ wanted: PlacementProvider) async throws(OpenStackError) {
        for round in 1... {
            do throws(OpenStackError) {
                return try await reportOnce(wanted)
            } catch {
                guard error.code == .conflict, round < Self.rounds else { throw error }
                logger.debug("provider changed meanwhile, trying again", metadata: ["provider": "\(wanted.uuid)"])
            }
        }
    }

    private func reportOnce(_ wanted: PlacementProvider) async throws(OpenStackError) {
        try await ensure(wanted)
        let path = "/resource_providers/\(wanted.uuid)"
        let inventories = try await send("GET", path + "/inventories").body
        let present = inventories["inventories"]?.objectValue ?? [:]
        let offered = wanted.inventories.map { ($0.key, $0.value.over(present[$0.key])) }.sorted { $0.0 < $1.0 }
        let wantedNow = Dictionary(uniqueKeysWithValues: offered)
        let isSame =
            present.count == offered.count
            && present.allSatisfy { wantedNow[$0.key]?.isSame(as: $0.value) == true }
        if !isSame {
            _ = try await send(
                "PUT",
                path + "/inventories",
                [
                    "resource_provider_generation": inventories["resource_provider_generation"] ?? 0,
                    "inventories": .object(JSONObject(offered.map { ($0.0, $0.1.json) })),
                ]
            )
        }
        let traits = try await send("GET", path + "/traits").body
        let had = Set(traits["traits"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        let having = had.subtracting(wanted.ownTraits).union(wanted.traits)
        if having == had { return }
        let known = try await knownTraits(having)
        if known == had { return }
        _ = try await send(
            "PUT",
            path + "/traits",
            [
                "resource_provider_generation": traits["resource_provider_generation"] ?? 0,
                "traits": .array(known.sorted().map(JSONValue.string)),
            ]
        )
    }

    /// An older service does not know all standard traits, and refuses a list with one of those.
    private func knownTraits(_ traits: Set<String>) async throws(OpenStackError) -> Set<String> {
        let list = traits.sorted().joined(separator: ",")
        let answer = try await send("GET", "/traits?name=in:\(list)").body
        return traits.intersection(answer["traits"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }

    private func ensure(_ wanted: PlacementProvider) async throws(OpenStackError) {
        let path = "/resource_providers/\(wanted.uuid)"
        let answer = try await send("GET", path, accepting: [404])
        if answer.status != 404 { return }
        let created = try await send(
            "POST",
            "/resource_providers",
            ["uuid": .string(wanted.uuid), "name": .string(wanted.name)],
            accepting: [409]
        )
        // Either an answer was lost, or another provider has the name.
        if created.status == 409 { _ = try await send("GET", path) }
    }

    // MARK: - Allocations

    /// The consumers of a host's resources; `nil` when it has no provider.
    package func consumers(of provider: String) async throws(OpenStackError) -> Set<String>? {
        let answer = try await send("GET", "/resource_providers/\(provider)/allocations", accepting: [404])
        if answer.status == 404 { return nil }
        return Set(answer.body["allocations"]?.objectValue?.keys.map { $0 } ?? [])
    }

    /// Frees everything that a consumer has. One without allocations has been freed already.
    package func deleteAllocations(of consumer: String) async throws(OpenStackError) {
        _ = try await send("DELETE", "/allocations/\(consumer)", accepting: [404])
    }

    /// Frees what a consumer has of one host; what it has of others stays.
    ///
    /// - Returns: whether it had anything there.
    package func deleteAllocations(of consumer: String, from provider: String) async throws(OpenStackError) -> Bool {
        for round in 1... {
            let present = try await allocations(of: consumer)
            guard present.allocations[provider] != nil else { return false }
            do throws(OpenStackError) {
                if present.allocations.count == 1 {
                    try await put(consumer, present, [:])
                } else {
                    try await put(consumer, present, present.allocations.filter { $0.key != provider })
                }
                return true
            } catch {
                guard error.code == .conflict, round < Self.rounds else { throw error }
            }
        }
        return false
    }

    /// Gives a consumer what another one has, in one step, and frees what it had itself: after a failed migration the
    /// instance gets back what the migration held for it (Nova's compute RPC, section 5.1).
    ///
    /// - Returns: whether there was anything to move.
    package func moveAllocations(from source: String, to target: String) async throws(OpenStackError) -> Bool {
        for round in 1... {
            let held = try await allocations(of: source)
            guard !held.allocations.isEmpty else { return false }
            let had = try await allocations(of: target)
            var given = held
            given.generation = had.generation
            given.project = had.project ?? held.project
            given.user = had.user ?? held.user
            do throws(OpenStackError) {
                _ = try await send(
                    "POST",
                    "/allocations",
                    [source: held.document([:]), target: given.document(held.allocations)]
                )
                return true
            } catch {
                guard error.code == .conflict, round < Self.rounds else { throw error }
            }
        }
        return false
    }

    /// What a consumer has.
    private struct Holding {
        var allocations: JSONObject
        var generation: JSONValue
        var project: String?
        var user: String?

        func document(_ allocations: JSONObject) -> JSONValue {
            let bare = allocations.map {
                ($0.key, JSONValue.object(["resources": $0.value["resources"] ?? .object([:])]))
            }
            return [
                "allocations": .object(JSONObject(bare)), "consumer_generation": generation,
                "project_id": .string(project ?? "unknown"), "user_id": .string(user ?? "unknown"),
            ]
        }
    }

    private func allocations(of consumer: String) async throws(OpenStackError) -> Holding {
        let body = try await send("GET", "/allocations/\(consumer)").body
        return Holding(
            allocations: body["allocations"]?.objectValue ?? [:],
            generation: body["consumer_generation"] ?? .null,
            project: body["project_id"]?.stringValue,
            user: body["user_id"]?.stringValue
        )
    }

    private func put(
        _ consumer: String,
        _ holding: Holding,
        _ allocations: some Sequence<JSONObject.Element>
    ) async throws(OpenStackError) {
        _ = try await send(
            "PUT",
            "/allocations/\(consumer)",
            holding.document(JSONObject(allocations.map { ($0.key, $0.value) }))
        )
    }
}
