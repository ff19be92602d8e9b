/// Lets options that all commands have stand before the command's name as well as behind it.
package enum CommandLineOrder {
    private static let withValue: Set<String> = ["--url", "--host", "--timeout", "--answer-timeout", "--config-file"]
    private static let flags: Set<String> = ["--json"]

    /// The arguments with the options from before the command put behind its name.
    ///
    /// `--timeout` becomes `--answer-timeout` on the way: before the command it is always the limit for the answer, also
    /// where the command has a `--timeout` of its own.
    /// - Parameter commands: the names there are.
    package static func commandFirst(_ arguments: [String], commands: Set<String>) -> [String] {
        var moved: [String] = []
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            if flags.contains(argument) {
                moved.append(argument)
            } else if withValue.contains(argument), index + 1 < arguments.count {
                moved += [renamed(argument), arguments[index + 1]]
                index += 1
            } else if let equals = argument.firstIndex(of: "="), withValue.contains(String(argument[..<equals])) {
                moved.append(renamed(String(argument[..<equals])) + argument[equals...])
            } else {
                break
            }
            index += 1
        }
        guard index < arguments.count, commands.contains(arguments[index]) else {
            // Help, version, or a mistake: nothing that a moved option would matter for.
            return Array(arguments[index...])
        }
        return [arguments[index]] + moved + arguments[(index + 1)...]
    }

    private static func renamed(_ option: String) -> String { option == "--timeout" ? "--answer-timeout" : option }
}
