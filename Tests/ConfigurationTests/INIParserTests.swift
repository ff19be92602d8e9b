import Testing

@testable import Configuration

@Suite struct INIParserTests {
    private func values(_ text: String) -> [String] {
        INIParser.parse(text).entries.map { "\($0.section).\($0.key)=\($0.value)@\($0.line)" }
    }

    @Test func readsSectionsAndBothSeparators() {
        let text = "a = 1\n[one]\nb: 2\nc = x:y\nd: x=y\n[Two]\n e\n"
        #expect(values(text) == ["DEFAULT.a=1@1", "one.b=2@3", "one.c=x:y@4", "one.d=x=y@5"])
        #expect(INIParser.parse(text).mistakes.map(\.line) == [7])
    }

    @Test func skipsCommentsAndKeepsHashesInValues() {
        #expect(values("# a = 1\n; b = 2\nc = 3 # three\n") == ["DEFAULT.c=3 # three@3"])
    }

    @Test func joinsContinuationLinesWithNewlines() {
        #expect(values("a = 1\n  2\n\t3\nb = 4") == ["DEFAULT.a=1\n2\n3@1", "DEFAULT.b=4@4"])
    }

    @Test func emptyLineEndsAValue() {
        let document = INIParser.parse("a = 1\n\n  2\n")
        #expect(document.entries.map(\.value) == ["1"])
        #expect(document.mistakes.map(\.line) == [3])
    }

    @Test func removesOnePairOfQuotes() {
        #expect(
            values("a = \" x \"\nb = 'y'\nc = \"z'\nd = \"\nf = ''") == [
                "DEFAULT.a= x @1", "DEFAULT.b=y@2", "DEFAULT.c=\"z'@3", "DEFAULT.d=\"@4", "DEFAULT.f=@5",
            ]
        )
    }

    @Test func keepsRepeatedKeysInOrder() {
        #expect(values("a = 1\na = 2\na = 1") == ["DEFAULT.a=1@1", "DEFAULT.a=2@2", "DEFAULT.a=1@3"])
    }

    @Test func readsCarriageReturnsAndMissingEnd() {
        #expect(values("[x]\r\na = 1\r\n\r\nb = 2") == ["x.a=1@2", "x.b=2@4"])
    }

    @Test func reportsEveryMistakeAndGoesOn() {
        let document = INIParser.parse("nonsense\n[broken\na = 1\n[]\n= 2\n[good]\nb = 3\n")
        #expect(document.mistakes.map(\.line) == [1, 2, 4, 5])
        #expect(document.entries.map(\.key) == ["b"], "values below a broken section belong nowhere")
    }
}
