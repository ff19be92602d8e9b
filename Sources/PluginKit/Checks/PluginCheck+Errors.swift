import HostBackend
import HostConformance
import Support

extension PluginCheck {
    private static let nobody = "00000000-0000-4000-8000-00000000dead"

    static let errors = [
        PluginCheck("requests that make no sense are refused, and the plugin goes on", section: "5", shapes: .all) {
            bench in
            let refusals: [(String, JSONObject, String)] = [
                ("machine.get", [:], "machine.get without uuid"),
                ("machine.get", ["uuid": 5], "machine.get with a number for a uuid"),
                ("machine.get", ["uuid": ["a": 1]], "machine.get with an object for a uuid"),
                ("machine.create", [:], "machine.create without spec"),
                ("machine.create", ["spec": [1, 2]], "machine.create with a list for a spec"),
                ("machine.create", ["spec": ["uuid": .string(nobody)]], "machine.create without a name"),
                ("machine.setState", ["uuid": .string(nobody)], "machine.setState without a state"),
                ("disk.create", [:], "disk.create without a path"),
                ("image.get", [:], "image.get without a reference"),
            ]
            for (method, params, what) in refusals {
                try await bench.error([.invalidArgument], method, params, what: what)
            }
            try await bench.error(
                [.invalidArgument, .notFound],
                "machine.setState",
                ["uuid": .string(nobody), "state": "flying"],
                what: "machine.setState to 'flying'"
            )
            try await bench.error(
                [.invalidArgument, .notFound],
                "machine.get",
                ["uuid": "../../etc/passwd"],
                what: "machine.get with a path for a uuid"
            )
            guard case .result = try await bench.request("host.info") else {
                throw CheckFailure(expected: "host.info succeeds after all that", seen: "it fails")
            }
        },
        PluginCheck("invalid_state says which state it is", section: "5", shapes: .all, needs: [.pause]) { bench in
            let subject = try await PluginSubject(bench)
            let spec = try await subject.newSpec("which-state", bare: true)
            try await subject.host.createMachine(spec)
            let error = try await bench.error(
                [.invalidState],
                "machine.setState",
                ["uuid": .string(spec.uuid.text), "state": "paused"],
                what: "paused from off"
            )
            try checkValue(error.details["state"]?.stringValue, "off", "details.state of invalid_state")
            try await subject.host.deleteMachine(spec.uuid)
        },
        PluginCheck("what is secret stands in no error and on no standard error", section: "5") { bench in
            let (session, hello) = try await bench.connection()
            let secret = "s3cret-" + UniqueID.make()
            let encoded = Base64.encode(Array(secret.utf8))
            var requests: [(String, JSONObject)] = [
                (
                    "volume.connect",
                    [
                        "volume_id": .string(nobody), "type": "no-such-type",
                        "data": ["auth_password": .string(secret)], "mount_device": "/dev/sdb", "is_boot": false,
                    ]
                )
            ]
            if hello.capabilities.has(.configDriveISO) {
                let path = bench.instances + "/not-there/config.iso"
                let files: JSONValue = [["path": "../escape", "base64": .string(encoded)]]
                requests.append(("configDrive.build", ["path": .string(path), "files": files]))
            }
            for (method, params) in requests {
                guard case .error(let error) = try await session.request(method, params) else { continue }
                let text = error.message + WireText.short(error.details)
                try check(
                    !text.contains(secret) && !text.contains(encoded),
                    "no secret in the error of \(method)",
                    seen: text
                )
            }
            try await session.ping(31)
            let said = session.process?.errors.text ?? ""
            try check(
                !said.contains(secret) && !said.contains(encoded),
                "no secret on standard error",
                seen: "the secret"
            )
        },
    ]
}
