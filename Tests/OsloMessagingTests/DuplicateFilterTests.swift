import OsloMessaging
import Support
import Testing

/// oslo.messaging wire, section 6.
@Suite struct DuplicateFilterTests {
    /// Which of the ids were new, in order.
    private func insert(_ ids: [String], into filter: inout DuplicateFilter) -> [Bool] {
        ids.map { filter.insert($0) }
    }

    @Test func aRepeatedIdIsNoticed() {
        var filter = DuplicateFilter()
        let id = UniqueID.make()
        let others = ["other", id.uppercased() + "A", String(id.dropLast()), ""]
        let new = insert([id, id] + others + others, into: &filter)
        #expect(new == [true, false, true, true, true, true, false, false, false, false])
    }

    @Test func theOldestIdIsForgottenFirst() {
        var filter = DuplicateFilter(capacity: 3)
        let new = insert(["a", "b", "c", "a", "d", "b", "a", "b", "d"], into: &filter)
        #expect(new == [true, true, true, false, true, false, true, true, false])
        #expect(filter.count == 3)
    }

    @Test func memoryIsBounded() {
        var filter = DuplicateFilter(capacity: 100)
        let new = insert((0..<1000).map { _ in UniqueID.make() }, into: &filter)
        #expect(!new.contains(false))
        #expect(filter.count == 100)
        let long = String(repeating: "x", count: 257)
        #expect(insert([long, long], into: &filter) == [true, true])
    }

    @Test func copiesAreIndependent() {
        var first = DuplicateFilter()
        let new = insert(["a"], into: &first)
        var second = first
        #expect(new + insert(["a", "b"], into: &second) + insert(["b"], into: &first) == [true, false, true, true])
    }
}
