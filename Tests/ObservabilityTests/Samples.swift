import Testing

/// The samples of an exposition, read by a strict reading of Prometheus' text format.
struct Samples {
    private(set) var values: [String: Double] = [:]
    private(set) var labels: [String: [[String: String]]] = [:]

    subscript(series: String) -> Double? { values[series] }

    init(_ text: String) throws {
        #expect(text.hasSuffix("\n"))
        var types: [String: String] = [:]
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# HELP ") { continue }
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                #expect(words.count == 4)
                #expect(types.updateValue(String(words[3]), forKey: String(words[2])) == nil, "one TYPE a family")
                continue
            }
            try read(line, types)
        }
    }

    private mutating func read(_ line: Substring, _ types: [String: String]) throws {
        let name = line.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        #expect(name.first?.isNumber == false)
        var rest = line[name.endIndex...]
        var found: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                try #require(!rest.isEmpty, "labels without an end: \(line)")
                let key = rest.prefix { $0 != "=" }
                rest = rest[key.endIndex...].dropFirst(2)
                var value = ""
                while let character = rest.popFirst(), character != "\"" {
                    guard character == "\\" else {
                        value.append(character)
                        continue
                    }
                    let escapes: [Character: Character] = ["n": "\n", "\\": "\\", "\"": "\""]
                    let escaped = rest.popFirst()
                    value.append(try #require(escaped.flatMap { escapes[$0] }))
                }
                #expect(found.updateValue(value, forKey: String(key)) == nil)
                if rest.first == "," { rest = rest.dropFirst() }
            }
            rest = rest.dropFirst()
        }
        #expect(rest.first == " ")
        let series = String(line[..<rest.startIndex])
        let value = try #require(Double(rest.dropFirst().replacing("+Inf", with: "inf")), "\(line)")
        #expect(values.updateValue(value, forKey: series) == nil, "\(series) twice")
        labels[String(name), default: []].append(found)
        let family =
            ["_bucket", "_sum", "_count"].filter { name.hasSuffix($0) }
            .map { String(name.dropLast($0.count)) }.first { types[$0] == "histogram" } ?? String(name)
        #expect(types[family] != nil, "\(family) has no TYPE")
    }
}
