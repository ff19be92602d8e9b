import Testing

/// Rules of the code that no compiler enforces.
@Suite struct SourceRulesTests {
    /// Files that may hold pointers: the doors to C and to the kernel.
    private static let pointerPlaces = [
        "Sources/JSONCodec/", "Sources/AMQPTransport/Wire/", "Sources/Support/Reactor", "Sources/Observability/HTTP/",
        "Sources/OsloMessaging/ZlibInflate.swift",
    ]

    @Test func pointersStayBehindTheirDoors() throws {
        for file in try SourceTree.swiftFiles("Sources") {
            if Self.pointerPlaces.contains(where: { file.path.hasPrefix($0) }) || file.path.contains("/Native/") {
                continue
            }
            for (number, line) in file.code {
                #expect(
                    !line.contains("UnsafePointer<") && !line.contains("UnsafeMutablePointer<")
                        && !line.contains("OpaquePointer") && !line.contains("Unmanaged<"),
                    "\(file.path):\(number) handles a raw pointer"
                )
            }
        }
    }

    @Test func nothingCanTrapOnInput() throws {
        for file in try SourceTree.swiftFiles("Sources") {
            for (number, line) in file.code {
                for word in ["try!", "as!", "fatalError("] {
                    #expect(!line.contains(word), "\(file.path):\(number) uses \(word)")
                }
            }
        }
    }

    @Test func filesStayShort() throws {
        for file in try SourceTree.swiftFiles("Sources") + SourceTree.swiftFiles("Tests") {
            #expect(file.lines.count <= 600, "\(file.path) has \(file.lines.count) lines")
        }
    }

    @Test func nothingIsLeftForLater() throws {
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
        for file in try SourceTree.swiftFiles("Sources") + SourceTree.swiftFiles("Tests") {
            for (number, line) in file.lines.enumerated() {
                for word in words {
                    #expect(!line.contains(word), "\(file.path):\(number + 1) leaves something for later")
                }
            }
        }
    }
}
