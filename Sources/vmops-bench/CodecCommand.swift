import ArgumentParser
import Foundation
import Glibc
import JSONCodec

/// `vmops-bench codec`: the cost of reading a request and writing its reply, stage by stage.
struct CodecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "codec",
        abstract: "Decodes requests and encodes replies; prints nanoseconds per operation."
    )

    @Option(name: .customLong("file"), help: "A request's body; repeatable. Default: a small call.")
    var files: [String] = []

    @Option(
        name: .customLong("stage"),
        help: "envelope, parse, decode, encode, request or dispatch; repeatable. Default: all."
    )
    var stages: [String] = []

    @Option(help: "jansson or native, as the option json_parser of vmopsd.")
    var parser = JSONParser.jansson.rawValue

    @Option(help: "Exactly this many operations of each, as a counting tool needs it.")
    var iterations: Int?

    @Option(help: "How long to run each stage.")
    var seconds = 0.5

    func run() throws {
        let cases = files.isEmpty ? [try CodecCase.small()] : try files.map(Self.read)
        let chosen = stages.isEmpty ? CodecStage.allCases : try stages.map(Self.stage)
        guard let parser = JSONParser(rawValue: parser) else { throw ValidationError("no parser '\(parser)'") }
        for codecCase in cases {
            var run = try CodecRun(codecCase, parser)
            for stage in chosen {
                try measure(stage, codecCase, &run)
            }
        }
    }

    private func measure(_ stage: CodecStage, _ codecCase: CodecCase, _ run: inout CodecRun) throws {
        var count = max(1, iterations ?? 1000)
        if iterations == nil {
            let start = ProcessUsage.now()
            try run.run(stage, iterations: count)
            let used = max(1, ProcessUsage.now().since(start).nanoseconds)
            count = max(count, Int(seconds * 1e9 / (Double(used) / Double(count))))
        }
        let start = ProcessUsage.now()
        try run.run(stage, iterations: count)
        let used = ProcessUsage.now().since(start)
        let wall = used.nanoseconds / UInt64(count), cpu = used.cpuNanoseconds / UInt64(count)
        print(
            #"{"case": "\#(codecCase.name)", "bytes": \#(codecCase.body.count), "stage": "\#(stage.rawValue)", "#
                + #""iterations": \#(count), "ns": \#(wall), "cpu_ns": \#(cpu)}"#
        )
    }

    private static func read(_ path: String) throws -> CodecCase {
        let url = URL(fileURLWithPath: path)
        return CodecCase(name: url.deletingPathExtension().lastPathComponent, body: Array(try Data(contentsOf: url)))
    }

    private static func stage(_ name: String) throws -> CodecStage {
        guard let stage = CodecStage(rawValue: name) else { throw ValidationError("no stage '\(name)'") }
        return stage
    }
}
