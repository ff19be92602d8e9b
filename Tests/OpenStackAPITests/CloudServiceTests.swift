import HTTPClient
import OpenStackAPI
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct CloudServiceTests {
    private static let path = "/resource_providers/x"

    @Test func oneTokenServesManyAndTheCatalogueSaysWhere() async throws {
        try await CloudServer.run { cloud in
            let service = try cloud.service("placement")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let answer = try await service.send("GET", "/allocations/x", headers: Self.version)
                        #expect(answer.body["allocations"] == .object([:]))
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await cloud.count("POST", "/identity") == 1)
            #expect(try await cloud.count("GET", "/placement/allocations") == 20)
        }
    }

    private static let version = [HTTPHeader("OpenStack-API-Version", "placement 1.36")]

    @Test func aTokenThatIsNotTakenIsReplacedAndOneNearItsEndIsRenewed() async throws {
        try await CloudServer.run { cloud in
            let service = try cloud.service("placement")
            _ = try await service.send("GET", "/allocations/x", headers: Self.version)
            try await cloud.tell("expire")
            _ = try await service.send("GET", "/allocations/x", headers: Self.version)
            #expect(try await cloud.count("POST", "/identity") == 2)
            #expect(try await cloud.requests().count { $0.status == 401 } == 1)

            try await cloud.tell("life", ["seconds": 0])
            let other = try cloud.service("placement")
            _ = try await other.send("GET", "/allocations/x", headers: Self.version)
            try await eventually("the token is asked for anew") {
                _ = try await other.send("GET", "/allocations/x", headers: Self.version)
                return try await cloud.count("POST", "/identity") >= 4
            }
            #expect(try await cloud.requests().count { $0.status == 401 } == 1)
        }
    }

    @Test func wrongCredentialsAndMissingEndpointsAreToldWithoutSecrets() async throws {
        try await CloudServer.run { cloud in
            let wrong = try cloud.service("placement") {
                $0.credentials = cloud.settings("placement", password: "wrong-secret").credentials
            }
            let refused = await failure { _ = try await wrong.send("GET", "/") }
            #expect(refused?.code == .unauthorized)
            #expect(refused?.message.contains("requires authentication") == true)
            #expect(refused?.message.contains("secret") == false)
            for change in [
                { $0.region = "Nowhere" }, { $0.serviceType = "baremetal" }, { $0.interfaces = ["internal"] },
                { $0.serviceName = "other" },
            ] as [(inout CloudServiceSettings) -> Void] {
                let service = try cloud.service("placement", change)
                #expect(await failure { _ = try await service.send("GET", "/") }?.code == .catalog)
            }
            let elsewhere = try cloud.service("placement") {
                $0.endpointOverride = "http://127.0.0.1:\(cloud.port)/placement/"
                $0.region = "Nowhere"
            }
            _ = try await elsewhere.send("GET", "/allocations/x", headers: Self.version)
        }
    }

    @Test func outagesAreRetriedWithinBounds() async throws {
        try await CloudServer.run { cloud in
            let service = try cloud.service("placement") { $0.statusRetries = 3 }
            try await cloud.fail("GET", "/placement/allocations", status: 503, count: 3)
            _ = try await service.send("GET", "/allocations/x", headers: Self.version)
            try await cloud.fail("GET", "/placement/allocations", status: 503, count: 100)
            let before = try await cloud.count("GET", "/placement/allocations")
            let failed = await failure {
                _ = try await service.send("GET", "/allocations/x", headers: Self.version)
            }
            #expect(failed?.code == .unavailable)
            #expect(failed?.status == 503)
            #expect(try await cloud.count("GET", "/placement/allocations") == before + 4)
            // The answer is lost, and what may be asked again is.
            try await cloud.tell("heal")
            try await cloud.fail("GET", "/placement/allocations", status: 0)
            _ = try await service.send("GET", "/allocations/x", headers: Self.version)
        }
    }

    @Test func aServiceThatDoesNotAnswerIsGivenUpAtItsDeadline() async throws {
        try await CloudServer.run { cloud in
            let service = try cloud.service("placement") {
                $0.connectRetries = 1
                $0.deadlines.total = .milliseconds(1500)
            }
            try await cloud.fail("GET", "/placement/allocations", status: -1, count: 10)
            let failed = await failure {
                _ = try await service.send("GET", "/allocations/x", headers: Self.version)
            }
            #expect(failed?.code == .unavailable)
            #expect(try await cloud.count("GET", "/placement/allocations") == 2)
            try await cloud.tell("release")
        }
    }

    @Test func expiryTimesAreRead() {
        #expect(CloudTime.seconds("1970-01-01T00:00:00Z") == 0)
        #expect(CloudTime.seconds("2026-11-21T21:00:00.000000Z") == 1_795_294_800)
        #expect(CloudTime.seconds("2024-02-29T12:34:56.789Z") == 1_709_210_096)
        #expect(CloudTime.seconds("soon") == nil)
        #expect(CloudTime.seconds("2026-11-21T9223372036854775807:00:00Z") == nil)
    }
}
