import Glibc
import Support

/// A new plugin's files: a host whose machines are records, which passes the kit as it is.
package struct PluginSkeleton: Sendable {
    package enum Language: String, Sendable, CaseIterable { case python, swift }

    /// Why a plugin could not be made.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    let name: String
    let language: Language
    /// The directory `vmops_plugin` of the Python SDK; `nil` = look for it.
    let sdk: String?

    package init(name: String, language: Language, sdk: String? = nil) {
        self.name = name
        self.language = language
        self.sdk = sdk
    }

    /// Small letters, digits and dashes, at most 64, a letter first: good for files, packages and modules.
    package static func isName(_ name: String) -> Bool {
        (try? /[a-z][a-z0-9-]{0,63}/.wholeMatch(in: name)) != nil
    }

    /// Makes the directory, which must not be there, and the files in it. Blocks.
    ///
    /// - Returns: what to do next, in lines for people.
    package func write(to directory: String) throws -> [String] {
        let sdk = try sdk.map(Self.found)
        guard mkdir(directory, 0o777) == 0 else {
            throw Failure(description: "\(SystemCallError("mkdir", errno, path: directory))")
        }
        switch language {
        case .python: return try writePython(directory, sdk: sdk ?? Self.installedSDK())
        case .swift: return try writeSwift(directory)
        }
    }

    private func writeSwift(_ directory: String) throws -> [String] {
        let files = [
            ("Package.swift", Self.swiftPackage), ("Sources/\(name)/Wire.swift", Self.swiftWire),
            ("Sources/\(name)/Connection.swift", Self.swiftConnection), ("Sources/\(name)/Host.swift", Self.swiftHost),
            ("Sources/\(name)/Disks.swift", Self.swiftDisks), ("Sources/\(name)/main.swift", Self.swiftMain),
        ]
        try write(files, to: directory)
        return [
            "\(directory) is a plugin in Swift. Next:", "  cd \(directory) && swift build",
            "  vmopsctl plugin check .build/debug/\(name)",
            "and then make the functions of Sources/\(name)/Host.swift drive your hypervisor.",
        ]
    }

    private func writePython(_ directory: String, sdk: String?) throws -> [String] {
        try write([("\(name).py", Self.pythonHost)], to: directory)
        guard chmod("\(directory)/\(name).py", 0o755) == 0 else {
            throw Failure(description: "\(SystemCallError("chmod", errno, path: directory))")
        }
        var lines = ["\(directory) is a plugin in Python. Next:"]
        if let source = sdk {
            try makeDirectories("\(directory)/vmops_plugin")
            for file in try namesInDirectory(source) where file.hasSuffix(".py") || file == "py.typed" {
                try Files.copy("\(source)/\(file)", to: "\(directory)/vmops_plugin/\(file)")
            }
        } else {
            lines.append(
                "  pip install DIRECTORY    (plugins/python of vmops, which is not beside vmopsctl; or use --sdk)"
            )
        }
        return lines + [
            "  vmopsctl plugin check 'python3 \(directory)/\(name).py'",
            "and then make the methods of \(directory)/\(name).py drive your hypervisor.",
        ]
    }

    private func write(_ files: [(path: String, text: String)], to directory: String) throws {
        for file in files {
            let path = "\(directory)/\(file.path)"
            if let slash = path.lastIndex(of: "/") { try makeDirectories(String(path[..<slash])) }
            let text = file.text.replacing("@NAME@", with: name) + "\n"
            try Files.write(Array(text.utf8), to: path)
            // Files of people, not secrets.
            _ = chmod(path, 0o644)
        }
    }

    /// The SDK that somebody named, itself or the directory that it is in.
    private static func found(_ path: String) throws -> String {
        for candidate in [path, path + "/vmops_plugin"] where access("\(candidate)/__init__.py", R_OK) == 0 {
            return candidate
        }
        throw Failure(description: "\(path) is not the Python SDK, nor is it in there: there is no __init__.py")
    }

    /// In `share` of the place where this program is installed, or in the checkout that it was built in.
    private static func installedSDK() -> String? {
        guard let own = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(own) }
        var place = String(cString: own)
        while let slash = place.lastIndex(of: "/") {
            place = String(place[..<slash])
            for candidate in ["share/vmops/python/vmops_plugin", "plugins/python/vmops_plugin"] {
                if access("\(place)/\(candidate)/__init__.py", R_OK) == 0 { return "\(place)/\(candidate)" }
            }
        }
        return nil
    }
}
