/// A program to start, so that it outlives us unless it is told otherwise, and everything it is started with.
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

    /// What it reads and writes in place of nothing and the output file. The descriptors are ours: the caller may close
    /// them once the program is started.
    package var standardStreams: StandardStreams?
    /// When it has ended, what it started and left in its process group is killed.
    package var endsItsGroup = false

    /// Descriptors of ours that become a program's numbers 0, 1 and 2.
    package struct StandardStreams: Sendable, Hashable {
        package var input: Int32
        package var output: Int32
        package var error: Int32

        package init(input: Int32, output: Int32, error: Int32) {
            self.input = input
            self.output = output
            self.error = error
        }
    }

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
