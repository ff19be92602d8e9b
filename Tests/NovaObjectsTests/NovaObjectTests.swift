import NovaObjects
import Support
import Testing

/// Objects as real services write them.
@Suite struct NovaObjectTests {
    /// Every object in a value, nested ones too.
    private static func objects(in value: JSONValue) -> [JSONValue] {
        let inner: [JSONValue] =
            switch value {
            case .object(let members): members.flatMap { objects(in: $0.value) }
            case .array(let values): values.flatMap { objects(in: $0) }
            default: []
            }
        return NovaObject.isObject(value) ? [value] + inner : inner
    }

    /// The same with the changes in order, which they have none on the wire.
    private static func sorted(_ value: JSONValue) -> JSONValue {
        guard case .object(var object) = value else { return value }
        if let changes = object["nova_object.changes"]?.arrayValue {
            object["nova_object.changes"] = .array(
                changes.compactMap(\.stringValue).sorted().map(JSONValue.string)
            )
        }
        return .object(object)
    }

    @Test func everyCapturedObjectIsReadAndWrittenAsItWas() throws {
        var count = 0
        for vector in NovaVector.all {
            for value in Self.objects(in: vector.message) {
                let object = try NovaObject(value)
                #expect(object.primitive == Self.sorted(value), "\(vector): \(object.name)")
                count += 1
            }
        }
        #expect(count > 500)
    }

    @Test func instancesOfBothReleasesAreRead() throws {
        var versions: Set<String> = []
        var count = 0
        for vector in NovaVector.all where vector.args["instance"] != nil {
            let instance = try NovaInstance(vector.args["instance"] ?? .null)
            #expect(instance.uuid == "7c1a3f6e-52b4-4d0a-9a5e-1d0f4c6b8e21", "\(vector)")
            #expect(instance.name == "instance-00000011")
            #expect(instance.displayName == "vm-one")
            versions.insert(instance.object.version.description)
            count += 1
        }
        #expect(count > 60)
        #expect(versions == ["2.7", "2.8"])
    }

    @Test func absentIsNotNull() throws {
        let instance = try #require(NovaVector.named("01-build_and_run_instance.request")?.args["instance"])
        let object = try NovaObject(instance)
        #expect(object.isSet("host"))
        #expect(object["host"] == nil)
        #expect(!object.isSet("services"))
        #expect(throws: NovaObjectError.self) { try object.string("host") }
        #expect(try object.object("flavor")?.integer("memory_mb") == 512)
        #expect(try object.object("tags")?.objects().isEmpty == true)
    }

    @Test func unknownAttributesAreKeptAndLaterMinorVersionsRead() throws {
        let value: JSONValue = [
            "nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.99",
            "nova_object.data": ["uuid": "one", "invented_later": ["a": 1]],
        ]
        let instance = try NovaInstance(value)
        #expect(instance.object.primitive["nova_object.data"]?["invented_later"]?["a"] == 1)
        #expect(instance.id == nil)
        #expect(instance.identity == ["uuid": "one"])
    }

    @Test func whatIsNoneIsSaid() {
        func code(_ change: (inout JSONObject) -> Void) -> NovaObjectError.Code? {
            var value: JSONObject = [
                "nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.8",
                "nova_object.data": ["uuid": "one"],
            ]
            change(&value)
            do {
                _ = try NovaInstance(.object(value))
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0["nova_object.version"] = "3.0" } == .incompatibleVersion)
        #expect(code { $0["nova_object.version"] = "2" } == .malformed)
        #expect(code { $0["nova_object.version"] = 2 } == .malformed)
        #expect(code { $0["nova_object.name"] = "Migration" } == .unexpectedClass)
        #expect(code { $0["nova_object.namespace"] = "ironic" } == .malformed)
        #expect(code { $0["nova_object.data"] = ["uuid"] } == .malformed)
        #expect(code { $0["nova_object.data"] = ["id": 1] } == .attribute)
        #expect(code { $0["nova_object.changes"] = "uuid" } == .malformed)
        #expect(throws: NovaObjectError.self) { try NovaObject("text") }
    }

    @Test func aChangeSaysWhatIsToBeSavedAndNoMore() {
        let versions = ObjectVersions(overrides: ["Instance": ObjectVersion(2, 8)])
        let object = versions.change("Instance", identity: ["uuid": "one", "id": 1], ["task_state": nil])
        #expect(
            object.primitive == [
                "nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.8",
                "nova_object.data": ["uuid": "one", "id": 1, "task_state": nil],
                "nova_object.changes": ["task_state"],
            ]
        )
        #expect(ObjectVersions()["Instance"] == ObjectVersion(2, 7))
        #expect(ObjectVersions().manifest["Migration"] == "1.7")
        #expect(ObjectVersion(1, 10) > ObjectVersion(1, 9))
        #expect(ObjectVersion("1.x") == nil)
        #expect(ObjectVersion("1.-1") == nil)
    }

    @Test func networkInfoIsJSONInsideOfText() throws {
        let vector = try #require(NovaVector.named("07-pause_instance.request"))
        let network = try NovaInstance(vector.args["instance"] ?? .null).networkInfo()
        #expect(network.first?["address"] == "fa:16:3e:12:34:56")
        let stop = try #require(NovaVector.named("02-stop_instance.request"))
        #expect(try NovaInstance(stop.args["instance"] ?? .null).networkInfo().isEmpty)
        #expect(throws: NovaObjectError.self) { try NetworkInfo.list("{}") }
        #expect(throws: NovaObjectError.self) { try NetworkInfo.list("[") }
    }

    @Test func migrateDataOfBothClassesIsReadAndOneIsWritten() throws {
        for name in ["hyperv-03-live_migration.request", "23-live_migration.request"] {
            let vector = try #require(NovaVector.named(name))
            var data = try MigrateData(vector.args["migrate_data"] ?? .null)
            #expect(data.isVolumeBacked == false, "\(name)")
            #expect(data.vifs?.first?["port_id"] == "c9d1e2f3-4a5b-4c6d-8e7f-90a1b2c3d4e5")
            data.destination = "node-2"
            let object = data.object(ObjectVersions())
            #expect(object.version == ObjectVersion(1, 4))
            #expect(!object.changes.contains("vmops_destination"))
            #expect(try MigrateData(object.primitive).destination == "node-2")
        }
        #expect(throws: NovaObjectError.self) { try MigrateData(["nova_object.name": "Instance"]) }
    }

    @Test func diagnosticsHaveBothForms() throws {
        let figures: JSONObject = [
            "state": "running", "hypervisor": "tcg", "num_cpus": 2, "uptime": 5,
            "cpu_details": [["id": 0, "time": nil]], "memory_details": ["maximum": 64, "used": 3],
            "disk_details": [["path": "/disk", "read_bytes": 7]],
        ]
        let flat = NovaDiagnostics.flat(figures)
        #expect(flat["disk_details0_read_bytes"] == 7)
        #expect(flat["memory_details_used"] == 3)
        #expect(flat["state"] == nil)
        let object = NovaDiagnostics.object(
            figures,
            state: "running",
            hypervisor: "qemu",
            configDrive: false,
            ObjectVersions()
        )
        #expect(object["driver"] == "libvirt")
        #expect(object["hypervisor"] == "tcg")
        let disk = try NovaObject(object["disk_details"]?.arrayValue?.first ?? .null)
        #expect(disk.changes == ["read_bytes"])
        let processor = try NovaObject(object["cpu_details"]?.arrayValue?.first ?? .null)
        #expect(!processor.isSet("time"))
    }

    @Test func timesAreThoseOfObjects() {
        #expect(NovaTime.text(1_768_472_430) == "2026-01-15T10:20:30Z")
        #expect(NovaTime.text(0) == "1970-01-01T00:00:00Z")
    }
}
