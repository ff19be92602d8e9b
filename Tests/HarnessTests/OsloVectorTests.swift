import TestSupport
import Testing

@Suite struct OsloVectorTests {
    @Test func allVectorsLoad() throws {
        let vectors = try OsloVector.all()
        #expect(vectors.count == 102)
        #expect(Set(vectors.map(\.folder)) == ["14.0.3", "18.3.1", "nova"])
        #expect(vectors.allSatisfy { !$0.body.isEmpty && $0.properties.contentType == "application/json" })
        #expect(
            vectors.allSatisfy {
                ($0.clientObserved == nil) != $0.name.hasPrefix("reply-") || $0.name.contains("heartbeat")
            }
        )
    }

    @Test func compressedBodiesAreBytes() throws {
        let vector = try OsloVector(folder: "18.3.1", name: "request-call-gzip")
        #expect(vector.headers?["compression"] == "application/x-gzip")
        #expect(vector.osloMessage == nil)
        #expect(vector.body.first == 0x78)
    }

    @Test func theOtherFilesAreThere() throws {
        #expect(try OsloVector.file("topology.json").count > 100_000)
        #expect(try OsloVector.file("traces.json").count > 30_000)
    }
}
