import OsloMessaging
import Support
import Testing

/// oslo.messaging wire, section 6.
@Suite struct DuplicateFilterTests {
    @Test func aRepeatedIdIsNoticed() {
        var filter = DuplicateFilter()
        let id = UniqueID.make()
        #expect(filter.insert(id))
        #expect(!filter.insert(id))
        #expect(filter.insert("other"))
        #expect(!filter.insert("other"))
        #expect(filter.insert(id.uppercased()))
        #expect(filter.insert(String(id.dropLast())))
        #expect(filter.insert(""))
        #expect(!filter.insert(""))
    }

    @Test func theOldestIdIsForgottenFirst() {
        var filter = DuplicateFilter(capacity: 3)
        for id in ["a", "b", "c"] { #expect(filter.insert(id)) }
        #expect(!filter.insert("a"))
        #expect(filter.insert("d"))
        #expect(!filter.insert("b"))
        #expect(filter.insert("a"))
        #expect(filter.insert("b"))
        #expect(!filter.insert("d"))
        #expect(filter.count == 3)
    }

    @Test func memoryIsBounded() {
        var filter = DuplicateFilter(capacity: 100)
        for _ in 0..<1000 { #expect(filter.insert(UniqueID.make())) }
        #expect(filter.count == 100)
        let long = String(repeating: "x", count: 257)
        #expect(filter.insert(long))
        #expect(filter.insert(long))
    }

    @Test func copiesAreIndependent() {
        var first = DuplicateFilter()
        #expect(first.insert("a"))
        var second = first
        #expect(second.insert("b"))
        #expect(first.insert("b"))
    }
}
