/// A program to start so that it outlives us, and everything it is started with.
package struct DetachedCommand: Sendable, Hashable {
    /// A descriptor of ours and the number it has over there.
    package struct PassedDescriptor: Sendable, Hashable {
        package var source: Int32
        /// 3 or more, at most 99, each once.
        package var target: Int32

        package init(source: Int32, target: Int32) {
            self.source = source
            self.target = target
        }
    }

    /// An absolute path; nothing is looked up.
    package var executable: String
    /// Without the program's own name, which is its path.
    package var arguments: [String]
    /// `NAME=value`, all there is: nothing is inherited.
    package var environment: [String]
    package var workingDirectory: String
    /// Gets standard output and standard error, appended; made with mode 0600 if missing, a symbolic link is refused.
    package var outputPath: String
    /// Stay open over here; the caller may close them once the program is started.
    package var passedDescriptors: [PassedDescriptor]

    package init(
        executable: String,
        arguments: [String] = [],
        environment: [String] = [],
        workingDirectory: String = "/",
        outputPath: String = "/dev/null",
        passedDescriptors: [(source: Int32, target: Int32)] = []
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.outputPath = outputPath
        self.passedDescriptors = passedDescriptors.map { PassedDescriptor(source: $0.source, target: $0.target) }
    }
}
