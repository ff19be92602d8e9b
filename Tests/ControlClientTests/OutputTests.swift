import JSONCodec
import Support
import Testing

@testable import ControlClient

@Suite struct OutputTests {
    private func filtered(_ pieces: [UInt8]...) -> String {
        var filter = TerminalFilter()
        var output = pieces.flatMap { filter.take($0) }
        output += filter.finish()
        return String(decoding: output, as: UTF8.self)
    }

    @Test func coloursPassAndEndWithTheOutput() {
        let colour = "\u{1B}[1;31mred\u{1B}[38:5:8mgrey\u{1B}[m"
        #expect(filtered(Array(colour.utf8)) == colour + "\u{1B}[0m")
        #expect(filtered(Array("\u{1B}[3".utf8), Array("1".utf8), Array("mred".utf8)) == "\u{1B}[31mred\u{1B}[0m")
        #expect(filtered(Array("\u{1B}".utf8), Array("[2J".utf8)) == "^[[2J")
        #expect(filtered(Array("\u{1B}[3".utf8)) == "^[[3")
        let endless = "\u{1B}[" + String(repeating: "1;", count: 100) + "m"
        #expect(filtered(Array(endless.utf8)) == "^[" + endless.dropFirst())
    }

    @Test func theEscapeKeysLeaveAndNothingElseIsSwallowed() {
        func typed(_ pieces: String...) -> (String, Bool) {
            var keys = EscapeKeys()
            var text: [UInt8] = []
            for piece in pieces {
                let (bytes, leaves) = keys.take(Array(piece.utf8))
                text += bytes
                if leaves { return (String(decoding: text, as: UTF8.self), true) }
            }
            return (String(decoding: text, as: UTF8.self), false)
        }
        #expect(typed("abc\u{3}\r") == ("abc\u{3}\r", false))
        #expect(typed("ab\u{1D}.c") == ("ab", true))
        #expect(typed("a\u{1D}", ".") == ("a", true))
        #expect(typed("\u{1D}\u{1D}.") == ("\u{1D}.", false))
        #expect(typed("\u{1D}x.") == ("\u{1D}x.", false))
    }

    @Test func whatActsOnATerminalIsShownInstead() {
        #expect(filtered(Array("\u{1B}[31;red\u{1B}]0;title\u{7}\n".utf8)) == "^[[31;red^[]0;title^G\n")
        #expect(filtered(Array("\u{1B}[2J\u{1B}[?25l\u{1B}c\u{1B}[6n".utf8)) == "^[[2J^[[?25l^[c^[[6n")
        #expect(filtered(Array("a\tb\r\n\u{7F}\u{8}\u{0}".utf8)) == "a\tb\r\n^?^H^@")
        #expect(filtered(Array("\u{9B}31m".utf8)) == "\\xc2\\x9b31m")
        #expect(filtered(Array("\u{202E}evil".utf8)) == "\\xe2\\x80\\xaeevil")
        #expect(filtered([0x9B, 0xFF, 0x0A]) == "\\x9b\\xff\n")
    }

    @Test func textPassesAlsoInPieces() {
        let text = "Grüße 🐧 ok\n"
        #expect(filtered(Array(text.utf8)) == text)
        for cut in 1..<text.utf8.count {
            #expect(filtered(Array(text.utf8.prefix(cut)), Array(text.utf8.dropFirst(cut))) == text)
        }
        // Cut for good, or continued by something else.
        #expect(filtered([0xF0, 0x9F]) == "\\xf0\\x9f")
        #expect(filtered([0xF0, 0x9F], [0x41]) == "\\xf0\\x9fA")
        #expect(filtered([0xC3], [0x1B]) == "\\xc3^[")
        #expect(filtered([0xED, 0xA0, 0x80]) == "\\xed\\xa0\\x80")
    }

    @Test func everyLineGetsTheTimeOfItsFirstByte() {
        var stamper = LineStamper()
        var output = stamper.take(Array("one\ntw".utf8), stamp: "1 ")
        output += stamper.take(Array("o\n".utf8), stamp: "2 ")
        output += stamper.take(Array("three".utf8), stamp: "3 ")
        #expect(String(decoding: output, as: UTF8.self) == "1 one\n1 two\n3 three")
    }

    @Test func columnsAreAsWideAsTheyNeedToBe() {
        var table = TextTable([("NAME", .left), ("COUNT", .right), ("STATE", .left)])
        table.add(["a", "7", "off"])
        table.add(["größer", "1234567", ""])
        #expect(
            table.lines == ["NAME      COUNT  STATE", "a             7  off", "größer  1234567"]
        )
        table.add(["evil\u{1B}[2J\n", "1", "x"])
        #expect(table.lines.last == "evil?[2J?        1  x")
    }

    @Test func detailsHaveALinePerMember() {
        let object: JSONObject = ["name": "demo", "task": .null, "metadata": ["a": "b"], "vcpus": 2, "empty": [:]]
        #expect(
            Presentation.details(object) == [
                "name        demo", "task        -", "metadata.a  b", "vcpus       2", "empty       {}",
            ]
        )
    }

    @Test func documentsAreReadableAndOneLineWhenAsked() throws {
        let value: JSONValue = ["a": [1, "é"], "b": [:], "c": .double(.nan)]
        #expect(Presentation.line(value) == #"{"a":[1,"é"],"b":{},"c":"nan"}"#)
        let indented = Presentation.indented(["a": [1, ["b": .null]], "c": []])
        #expect(indented == "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": []\n}")
    }

    @Test func aBarShowsHowFarAMigrationIs() {
        let display = MigrationDisplay(name: "demo", source: "host-a", destination: "host-b")
        let half = MigrationState(phase: "precopy", transferredBytes: 1_048_576, remainingBytes: 1_048_576)
        let bar = display.bar(half, columns: 80)
        #expect(bar.hasPrefix("demo: host-a to host-b ["))
        #expect(bar.contains(" 50 %  precopy  1.0 MiB"))
        #expect(bar.count < 80)
        #expect(bar.count { $0 == "=" } == 15)
        #expect(display.bar(half, columns: 30).count < 30)
        let done = MigrationState(phase: "completed", transferredBytes: 0, remainingBytes: 0)
        #expect(display.bar(done, columns: 80).contains("100 %"))
        #expect(!display.bar(done, columns: 80).contains(">"))
    }

    @Test func aLogTellsAMigrationsPhasesAndTenths() {
        var display = MigrationDisplay(name: "demo", source: "host-a", destination: "host-b")
        func line(_ phase: String, _ percent: Double) -> String? {
            display.line(MigrationState(phase: phase, transferredBytes: percent, remainingBytes: 100 - percent))
        }
        #expect(line("precopy", 0) == "demo: host-a to host-b, precopy 0 %")
        #expect(line("precopy", 5) == nil)
        #expect(line("precopy", 31) == "demo: host-a to host-b, precopy 31 %")
        #expect(line("precopy", 20) == nil)
        #expect(line("switchover", 99) == "demo: host-a to host-b, switchover 99 %")
    }

    @Test func jsonFormsOfAConsole() throws {
        let piece = ConsolePiece(
            host: "host-a",
            data: Array("hi\n".utf8),
            offset: 4,
            nextOffset: 7,
            firstOffset: 0,
            endOffset: 9
        )
        let rest = ConsolePiece(host: "host-a", data: [0xFF], offset: 7, nextOffset: 8, firstOffset: 0, endOffset: 9)
        var document = ConsoleOutput(form: .jsonDocument, timestamps: false)
        #expect(document.take(piece, at: "t") == [])
        #expect(document.take(rest, at: "t") == [])
        let whole = try JSONReader.read(document.finish())
        #expect(whole["offset"] == 4)
        #expect(whole["next_offset"] == 8)
        #expect(whole["text"] == "hi\n\u{FFFD}")
        #expect(whole["data"] == .string(Base64.encode(piece.data + rest.data)))
        var lines = ConsoleOutput(form: .jsonLines, timestamps: true)
        let line = try JSONReader.read(lines.take(piece, at: "t"))
        #expect(line["text"] == "hi\n")
        #expect(line["time"] == "t")
        #expect(lines.finish() == [])
    }
}
