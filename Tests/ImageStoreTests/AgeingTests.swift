import DiskImages
import Foundation
import HostBackend
import ImageStore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct AgeingTests {
    private func with(_ age: Duration = .zero, _ body: (StoreBox, String) async throws -> Void) async throws {
        try await StoreBox.with {
            $0.minimumAge = age
        } _: { box in
            try await body(box, try box.file("one.raw", [UInt8](repeating: 1, count: 1 << 20)))
        }
    }

    @Test func unusedImagesGoWithAllThatBelongsToThem() async throws {
        try await with { box, url in
            let image = try await box.store.image(url)
            let report = try await box.store.removeUnused()
            #expect(report.removed == [image.path])
            #expect(report.removedBytes == 1 << 20)
            #expect(box.cached() == [])
            #expect(try FileManager.default.contentsOfDirectory(atPath: box.cache + "/locks") == [])
            // It is fetched again when it is wanted again.
            #expect(try await box.store.image(url).path == image.path)
        }
    }

    @Test func youngImagesAndThoseOfOthersStay() async throws {
        try await with(.seconds(3600)) { box, url in
            let image = try await box.store.image(url)
            try write(box.images + "/named.raw", [UInt8](repeating: 1, count: 4096))
            #expect(try await box.store.removeUnused().young == 1)
            #expect(FileManager.default.fileExists(atPath: image.path))
            // Two hours without use.
            let used = box.cache + "/" + (box.cached().first { $0.hasSuffix(".used") } ?? "")
            try FileManager.default.setAttributes([.modificationDate: Date() - 7200], ofItemAtPath: used)
            #expect(try await box.store.removeUnused().removed == [image.path])
            #expect(FileManager.default.fileExists(atPath: box.images + "/named.raw"))
        }
    }

    @Test func aUseMakesItYoungAgain() async throws {
        try await with(.seconds(3600)) { box, url in
            _ = try await box.store.image(url)
            let used = box.cache + "/" + (box.cached().first { $0.hasSuffix(".used") } ?? "")
            try FileManager.default.setAttributes([.modificationDate: Date() - 7200], ofItemAtPath: used)
            _ = try await box.store.image(url)
            #expect(try await box.store.removeUnused().removed == [])
        }
    }

    @Test func anImageStaysAsLongAsAnInstanceThatAskedForIt() async throws {
        try await with { box, url in
            let directory = try box.instance("one")
            let image = try await box.store.image(ImageRequest(url, user: directory))
            // Also for a store that knows nothing of the first one's memory.
            let later = try StoreBox(root: box.root, sources: ["file://\(box.files)"]) { $0.minimumAge = .zero }
            #expect(try await later.store.removeUnused().used == 1)
            #expect(FileManager.default.fileExists(atPath: image.path))
            try FileManager.default.removeItem(atPath: directory)
            #expect(try await later.store.removeUnused().removed == [image.path])
        }
    }

    @Test func anImageWithAUserOnAnotherMachineStays() async throws {
        try await with { box, url in
            let image = try await box.store.image(ImageRequest(url, user: box.instances + "/gone"))
            let users = box.cache + "/users/" + (URL(filePath: image.path).lastPathComponent.prefix(40))
            let record = users + "/" + (try FileManager.default.contentsOfDirectory(atPath: users)[0])
            try write(record, Array(#"{"node": "elsewhere", "directory": "/nowhere"}"#.utf8))
            #expect(try await box.store.removeUnused().used == 1)
            // What a crash left of a record counts as well.
            try write(record, [])
            #expect(try await box.store.removeUnused().used == 1)
        }
    }

    @Test(.enabled(if: disks.hasQemuImg, "needs qemu-img"))
    func anImageStaysAsLongAsADiskIsALayerOverIt() async throws {
        try await with { box, url in
            let image = try await box.store.image(url)
            let directory = try box.instance("moved-here")
            // Nobody has said that it is used: as after a migration.
            for backing in [image.path, "json:{\"driver\":\"raw\",\"file.filename\":\"\(image.path)\"}"] {
                let disk = directory + "/root.qcow2"
                try await make("qcow2", disk, ["-u", "-b", backing, "-F", "raw"])
                #expect(try await box.store.removeUnused().used == 1)
                try FileManager.default.removeItem(atPath: disk)
            }
            #expect(try await box.store.removeUnused().removed == [image.path])
        }
    }

    @Test func nothingIsRemovedWhenItIsSwitchedOff() async throws {
        try await with { box, url in
            var settings = box.store.settings
            settings.removesUnused = false
            box.store.settings = settings
            _ = try await box.store.image(url)
            let report = try await box.store.removeUnused()
            #expect(report.removed == [])
            #expect(report.young == 1)
        }
    }

    @Test func whatKilledProcessesLeftGoesWithAge() async throws {
        try await with(.seconds(3600)) { box, url in
            _ = try await box.store.image(url)
            let key = String(repeating: "a", count: 40)
            for name in ["\(key).part", "\(key).part.json"] { try write(box.cache + "/" + name, [1, 2, 3]) }
            try await box.store.removeUnused()
            #expect(box.cached().contains("\(key).part"))
            for name in ["\(key).part", "\(key).part.json"] {
                try FileManager.default.setAttributes(
                    [.modificationDate: Date() - 7200],
                    ofItemAtPath: box.cache + "/" + name
                )
            }
            try await box.store.removeUnused()
            #expect(!box.cached().contains { $0.hasPrefix(key) })
        }
    }

    @Test func ageingAndUseAtOnceNeverLoseAnImage() async throws {
        try await with { box, url in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let directory = try box.instance("instance-\(number)")
                        do {
                            let image = try await box.store.image(ImageRequest(url, user: directory))
                            guard FileManager.default.fileExists(atPath: image.path) else {
                                throw ConditionNotMet(description: "an image is gone that an instance uses")
                            }
                        } catch let error as BackendError where error.code == .busy {
                            // Removed three times over between fetch and use: with an age of zero that may be.
                        }
                    }
                    group.addTask { try await box.store.removeUnused() }
                }
                try await group.waitForAll()
            }
        }
    }
}
