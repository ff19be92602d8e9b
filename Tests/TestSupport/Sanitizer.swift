import Glibc

/// The sanitizer that these tests, and the programs built beside them, run under, if any. Everything takes several
/// times as long there, and a process needs a multiple of its memory and terabytes of addresses.
package enum Sanitizer {
    package static let isThread = dlsym(nil, "__tsan_init") != nil
    package static let isAddress = dlsym(nil, "__asan_init") != nil

    package static var isOn: Bool { isThread || isAddress }

    /// By what time limits of the tests' own tools are multiplied.
    package static var slowness: Int { isOn ? 4 : 1 }

    /// A count or a time for which a sanitized build needs another one.
    package static func choose<Value>(_ sanitized: Value, otherwise plain: Value) -> Value { isOn ? sanitized : plain }
}
