import Foundation
import HostBackend
import ImageStore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct NamedImageTests {
    @Test func imagesAreFoundByTheirPlainAndTheirExtendedName() async throws {
        try await StoreBox.with { box in
            try write(box.images + "/plain", [UInt8](repeating: 1, count: 1 << 20))
            try write(box.images + "/extended.img", [UInt8](repeating: 1, count: 2 << 20))
            let plain = try await box.store.image("plain")
            #expect(plain.format == "raw")
            #expect(plain.virtualSize == 1 << 20)
            let extended = try await box.store.image("extended")
            #expect(extended.path == box.images + "/extended.img")
            let missing = await failure { _ = try await box.store.image("other") }
            #expect(missing?.code == .notFound)
            #expect(missing?.message.contains("other") == true)
        }
    }

    @Test(arguments: [
        "", ".", "..", "...", "../x", "a/b", "/etc/passwd", "a\0b", "a\nb", ".hidden", "a\\b",
        String(repeating: "x", count: 201),
    ])
    func referencesThatCouldLeaveTheDirectoryAreRefused(reference: String) async throws {
        try await StoreBox.with { box in
            #expect(await code { _ = try await box.store.image(reference) } == .invalidArgument)
        }
    }

    @Test func whatTheClientSaysIsChecked() async throws {
        try await StoreBox.with { box in
            let path = box.images + "/one.raw"
            try write(path, [UInt8](repeating: 7, count: 1 << 20))
            for algorithm in ["md5", "sha1", "sha256", "sha512"] {
                let right = try await checksum(path, algorithm)
                _ = try await box.store.image(ImageRequest("one", checksums: [right]))
                var wrong = right
                wrong.value = String(right.value.reversed())
                let error = await failure { _ = try await box.store.image(ImageRequest("one", checksums: [wrong])) }
                #expect(error?.code == .invalidArgument)
                #expect(error?.message.contains("one") == true && error?.message.contains(algorithm) == true)
                #expect(
                    await code { _ = try await box.store.image(ImageRequest("one", checksums: [right, wrong])) } != nil
                )
            }
            _ = try await box.store.image(ImageRequest("one", format: "raw", size: 1 << 20))
            for request in [
                ImageRequest("one", size: 1 << 21), ImageRequest("one", format: "qcow2"),
                ImageRequest("one", format: "vmdk"),
                ImageRequest("one", checksums: [ImageChecksum(algorithm: "crc32", value: "00000000")]),
                ImageRequest("one", checksums: [ImageChecksum(algorithm: "md5", value: "xyz")]),
            ] {
                #expect(await code { _ = try await box.store.image(request) } == .invalidArgument, "\(request)")
            }
        }
    }

    @Test func aChangedFileIsCheckedAnew() async throws {
        try await StoreBox.with { box in
            let path = box.images + "/one.raw"
            try write(path, [UInt8](repeating: 7, count: 1 << 20))
            let sum = try await checksum(path, "sha256")
            _ = try await box.store.image(ImageRequest("one", checksums: [sum]))
            try write(path, [UInt8](repeating: 8, count: 1 << 20))
            #expect(
                await code { _ = try await box.store.image(ImageRequest("one", checksums: [sum])) } == .invalidArgument
            )
        }
    }

    @Test func aNameThatIsNotThereIsFetchedFromItsLocation() async throws {
        try await StoreBox.with { box in
            let url = try box.file("source", [UInt8](repeating: 3, count: 1 << 20))
            let image = try await box.store.image(ImageRequest("glance-id", location: url))
            #expect(image.reference == "glance-id")
            #expect(image.path.hasPrefix(box.cache))
            try write(box.images + "/glance-id.raw", [UInt8](repeating: 4, count: 1 << 20))
            let present = try await box.store.image(ImageRequest("glance-id", location: url))
            #expect(present.path == box.images + "/glance-id.raw")
            #expect(await code { _ = try await box.store.image(ImageRequest("x", location: "rbd://pool/x")) } != nil)
        }
    }
}
