import ArgumentParser

/// Measurements inside one process; `Tests/Benchmarks/run` puts them beside the references.
///
/// The entry point is synchronous: an asynchronous one ends the main thread, which valgrind does not survive.
@main
struct VMOpsBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vmops-bench",
        abstract: "Measures parts of vmops. Each command prints lines of JSON.",
        subcommands: [CodecCommand.self, ConsoleCommand.self]
    )
}
