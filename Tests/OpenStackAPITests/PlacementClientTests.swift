import OpenStackAPI
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct PlacementClientTests {
    private static let uuid = "0d6d8a3e-5f0c-4ab9-8b5d-1f6f3a3b0c11"
    private static let consumer = "7e1f3a0c-9f5a-4c63-bd5f-0d5b8a7c2e90"

    private static func client(_ cloud: CloudServer) throws -> PlacementClient {
        PlacementClient(try cloud.service("placement"), logger: quiet)
    }

    private static func provider(disabled: Bool = false) -> PlacementProvider {
        PlacementProvider(
            uuid: uuid,
            name: "host-a",
            inventories: [
                "VCPU": PlacementInventory(total: 4, allocationRatio: 4),
                "MEMORY_MB": PlacementInventory(total: 8192, reserved: 512),
            ],
            traits: disabled ? ["COMPUTE_NODE", "COMPUTE_STATUS_DISABLED"] : ["COMPUTE_NODE", "TRAIT_OF_TOMORROW"],
            ownTraits: ["COMPUTE_STATUS_DISABLED"]
        )
    }

    @Test func aProviderIsMadeOnceAndOnlyNewsAreWritten() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            try await client.report(Self.provider())
            var present = try #require(try await cloud.state("provider")[Self.uuid])
            #expect(present["name"] == "host-a")
            #expect(present["traits"] == ["COMPUTE_NODE"])
            #expect(present["inventories"]?["MEMORY_MB"]?["reserved"] == 512)
            #expect(present["inventories"]?["VCPU"]?["allocation_ratio"]?.doubleValue == 4)
            #expect(present["inventories"]?["VCPU"]?["max_unit"] == 4)

            let writes = try await cloud.count("PUT", "/placement")
            try await client.report(Self.provider())
            #expect(try await cloud.count("PUT", "/placement") == writes)
            #expect(try await cloud.count("POST", "/placement/resource_providers") == 1)

            // What an operator has given it stays.
            var operators = present.objectValue ?? [:]
            operators["traits"] = ["COMPUTE_NODE", "CUSTOM_OF_AN_OPERATOR"]
            try await cloud.put("provider", Self.uuid, .object(operators))
            try await client.report(Self.provider(disabled: true))
            present = try #require(try await cloud.state("provider")[Self.uuid])
            #expect(present["traits"] == ["COMPUTE_NODE", "COMPUTE_STATUS_DISABLED", "CUSTOM_OF_AN_OPERATOR"])
            try await client.report(Self.provider())
            present = try #require(try await cloud.state("provider")[Self.uuid])
            #expect(present["traits"] == ["COMPUTE_NODE", "CUSTOM_OF_AN_OPERATOR"])
        }
    }

    @Test func aRatioThatIsNotTheHostsToSayIsThatOfTheService() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            var wanted = Self.provider()
            wanted.inventories["VCPU"] = PlacementInventory(total: 4, allocationRatio: 4, keepsRatio: true)
            try await client.report(wanted)
            var present = try #require(try await cloud.state("provider")[Self.uuid]?.objectValue)
            #expect(present["inventories"]?["VCPU"]?["allocation_ratio"]?.doubleValue == 4)

            var inventories = present["inventories"]?.objectValue ?? [:]
            var processors = inventories["VCPU"]?.objectValue ?? [:]
            processors["allocation_ratio"] = 9.5
            inventories["VCPU"] = .object(processors)
            present["inventories"] = .object(inventories)
            try await cloud.put("provider", Self.uuid, .object(present))
            let writes = try await cloud.count("PUT", "/placement")
            try await client.report(wanted)
            #expect(try await cloud.count("PUT", "/placement") == writes)
            wanted.inventories["VCPU"]?.total = 8
            try await client.report(wanted)
            let now = try await cloud.state("provider")[Self.uuid]?["inventories"]?["VCPU"]
            #expect(now?["total"] == 8)
            #expect(now?["allocation_ratio"]?.doubleValue == 9.5)
        }
    }

    @Test func aGenerationThatChangedMeanwhileIsReadAgain() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            for _ in 0..<3 { try await cloud.tell("foreign", ["provider": .string(Self.uuid)]) }
            try await client.report(Self.provider())
            #expect(try await cloud.requests().count { $0.status == 409 } == 3)
            #expect(try await cloud.state("provider")[Self.uuid]?["traits"] == ["COMPUTE_NODE"])
        }
    }

    @Test func lostAnswersDoNoHarm() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            try await cloud.fail("POST", "/placement/resource_providers", status: 0)
            try await cloud.fail("PUT", "/placement/resource_providers", status: 0)
            try await client.report(Self.provider())
            #expect(try await cloud.state("provider")[Self.uuid]?["traits"] == ["COMPUTE_NODE"])
            try await Self.hold(cloud, Self.consumer, [Self.uuid])
            try await cloud.fail("DELETE", "/placement/allocations", status: 0)
            try await client.deleteAllocations(of: Self.consumer)
            #expect(try await cloud.state("allocation").isEmpty)
            #expect(try await cloud.count("DELETE", "/placement/allocations") == 2)
        }
    }

    private static func hold(_ cloud: CloudServer, _ consumer: String, _ providers: [String]) async throws {
        let held = providers.map { ($0, ["resources": ["VCPU": 1, "MEMORY_MB": 64]] as JSONValue) }
        try await cloud.put(
            "allocation",
            consumer,
            ["generation": 1, "allocations": .object(JSONObject(held))]
        )
    }

    @Test func whatAMigrationHeldIsGivenBackOrFreedWhereItIs() async throws {
        try await CloudServer.run { cloud in
            let client = try Self.client(cloud)
            try await client.report(Self.provider())
            var other = Self.provider()
            other.uuid = "9b2a51ce-7c1b-4a51-9a27-33c1e0b2f7d4"
            other.name = "host-b"
            try await client.report(other)
            let migration = "aa4f6f0e-5f61-4f43-8d1a-54d4f0b7c9b2"
            try await Self.hold(cloud, migration, [Self.uuid])
            try await Self.hold(cloud, Self.consumer, [other.uuid])
            #expect(try await client.consumers(of: Self.uuid) == [migration])

            #expect(try await client.moveAllocations(from: migration, to: Self.consumer))
            #expect(try await client.consumers(of: Self.uuid) == [Self.consumer])
            #expect(try await client.consumers(of: other.uuid) == [])
            #expect(try await client.moveAllocations(from: migration, to: Self.consumer) == false)

            try await Self.hold(cloud, Self.consumer, [Self.uuid, other.uuid])
            #expect(try await client.deleteAllocations(of: Self.consumer, from: Self.uuid))
            #expect(try await client.consumers(of: other.uuid) == [Self.consumer])
            #expect(try await client.deleteAllocations(of: Self.consumer, from: Self.uuid) == false)
            #expect(try await client.deleteAllocations(of: Self.consumer, from: other.uuid))
            #expect(try await cloud.state("allocation").isEmpty)
            #expect(try await client.consumers(of: "1c7c1fd0-0000-4000-8000-000000000000") == nil)
        }
    }
}
