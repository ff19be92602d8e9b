/// The members of a JSON object in the order they were written; a repeated key keeps its place and its last value.
///
/// Small objects are searched linearly, which is faster than hashing for the sizes RPC messages have; an index is
/// built once an object outgrows ``linearLimit``.
package struct JSONObject: Sendable {
    package typealias Element = (key: String, value: JSONValue)

    private static let linearLimit = 32

    /// A struct and not the tuple: arrays of tuples are copied and destroyed by asking the type for each of its parts.
    package struct Member: Sendable {
        package let key: String
        package fileprivate(set) var value: JSONValue
    }

    private var members: [Member] = []
    private var index: [String: Int] = [:]

    package init() {}

    package init(_ elements: some Sequence<(String, JSONValue)>) {
        for (key, value) in elements { self[key] = value }
    }

    package init(minimumCapacity: Int) {
        members.reserveCapacity(minimumCapacity)
    }

    package var count: Int { members.count }
    package var isEmpty: Bool { members.isEmpty }
    /// The members as an array, which is faster to go through than the object itself.
    package var elements: [Member] { members }
    package var keys: some Sequence<String> { members.lazy.map(\.key) }

    /// The member's value; assigning `nil` removes the member.
    package subscript(key: String) -> JSONValue? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?):
                members[position].value = value
            case (let position?, nil):
                members.remove(at: position)
                rebuildIndex()
            case (nil, let value?):
                append(key, value)
            case (nil, nil):
                break
            }
        }
    }

    /// Sets the member's value.
    package mutating func set(_ key: consuming String, _ value: consuming JSONValue) {
        if let position = position(of: key) {
            members[position].value = value
        } else {
            append(key, value)
        }
    }

    /// Adds a member whose key is known to be absent, without looking.
    package mutating func append(_ key: consuming String, _ value: consuming JSONValue) {
        let position = members.count
        members.append(Member(key: key, value: value))
        if position == Self.linearLimit {
            rebuildIndex()
        } else if position > Self.linearLimit {
            index[members[position].key] = position
        }
    }

    private func position(of key: String) -> Int? {
        if members.count > Self.linearLimit { return index[key] }
        // Comparing lengths first spares nearly every comparison of text.
        let length = key.utf8.count
        return members.firstIndex { $0.key.utf8.count == length && $0.key == key }
    }

    private mutating func rebuildIndex() {
        index.removeAll(keepingCapacity: true)
        guard members.count > Self.linearLimit else { return }
        for (position, member) in members.enumerated() { index[member.key] = position }
    }
}

extension JSONObject: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { members.count }
    package subscript(position: Int) -> Element { (members[position].key, members[position].value) }
}

extension JSONObject: Hashable {
    /// Order does not count, as in JSON.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        var sum = 0
        for member in members {
            var each = Hasher()
            each.combine(member.key)
            each.combine(member.value)
            sum = sum &+ each.finalize()
        }
        hasher.combine(sum)
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.init(elements)
    }
}
