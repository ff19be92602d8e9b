import Foundation
import HostBackend
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing
import VMOps

@testable import ComputeRPC

@Suite(.timeLimit(.minutes(5))) struct ConfigDriveTests {
    private func extracted(_ driver: TestDriver, _ instance: JSONObject) async throws -> String {
        let uuid = instance["uuid"]?.stringValue ?? ""
        let target = driver.directory + "/extracted"
        _ = try await runCommand(
            "xorriso",
            [
                "-osirrox", "on", "-indev", "\(driver.directory)/instances/\(uuid)/configdrive.iso", "-extract", "/",
                target,
            ]
        )
        return target
    }

    private func metaData(_ path: String) throws -> JSONValue {
        try JSONReader.read([UInt8](Data(contentsOf: URL(fileURLWithPath: "\(path)/openstack/latest/meta_data.json"))))
    }

    @Test(arguments: [false, true])
    func aConfigDriveHoldsWhatWasAskedFor(injectsPasswords: Bool) async throws {
        try await TestDriver.with { driver in
            driver.injectsPasswords.value = injectsPasswords
            let content = Array("welcome\n".utf8)
            let instance = try await driver.spawn(
                ["config_drive": "True", "name": "Web Server_1", "metadata": ["role": "web"]],
                [
                    "injected_files": [["/etc/motd", .string(Base64.encode(content))]],
                    "admin_password": "s3cret",
                    "network_info": [["id": "vif-1", "address": "FA:16:3E:00:00:01"]],
                ]
            )
            let path = try await extracted(driver, instance)
            let meta = try metaData(path)
            #expect(meta["uuid"] == instance["uuid"])
            #expect(meta["name"] == "Web Server_1")
            #expect(meta["hostname"] == "web-server-1")
            #expect(meta["meta"] == ["role": "web"])
            #expect(meta["admin_pass"] == (injectsPasswords ? "s3cret" : nil))
            let file = try #require(meta["files"]?.arrayValue?.first)
            #expect(file["path"] == "/etc/motd")
            let injected = "\(path)/openstack\(file["content_path"]?.stringValue ?? "")"
            #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: injected))) == content)
            let network = try JSONReader.read(
                [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(path)/openstack/latest/network_data.json")))
            )
            #expect(network["links"]?.arrayValue?.first?["ethernet_mac_address"] == "fa:16:3e:00:00:01")
        }
    }

    @Test func thereIsNoneUnlessItIsAskedForOrForced() async throws {
        try await TestDriver.with { driver in
            let plain = try await driver.spawn()
            let path = "\(driver.directory)/instances/\(plain["uuid"]?.stringValue ?? "")/configdrive.iso"
            #expect(!FileManager.default.fileExists(atPath: path))
            driver.operations.settings.forceConfigDrive = true
            let forced = try await driver.spawn()
            #expect(try metaData(try await extracted(driver, forced))["uuid"] == forced["uuid"])
        }
    }

    @Test func anotherFormatIsRefused() async throws {
        try await TestDriver.with { driver in
            driver.operations.settings.configDriveFormat = "vfat"
            let instance = TestDriver.instance(["config_drive": true])
            let failure = try await driver.failure("spawn", ["instance": .object(instance)])
            #expect(failure?.className == "ConfigDriveUnsupportedFormat")
        }
    }
}
