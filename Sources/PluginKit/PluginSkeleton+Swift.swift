extension PluginSkeleton {
    static let swiftPackage = #"""
        // swift-tools-version: 5.9
        import PackageDescription

        let package = Package(name: "@NAME@", targets: [.executableTarget(name: "@NAME@")])
        """#

    /// Frames and values (plugin protocol, sections 2 and 5).
    static let swiftWire = #"""
        import Foundation

        typealias Object = [String: Any]

        /// An error of the protocol; `code` is one of its table.
        struct PluginError: Error {
            var code: String
            var message: String
            var details: Object = [:]

            var object: Object {
                ["code": code, "message": String(message.prefix(1000)), "retryable": code == "busy", "details": details]
            }
        }

        /// What the other side did wrong, so that the connection cannot go on.
        struct ProtocolError: Error {
            var message: String
        }

        /// Standard input in frames.
        struct Input {
            let maximum: Int

            /// The next message; frames of other types are passed over. `nil` at the end of the input.
            func next() throws -> Object? {
                while let header = try read(4) {
                    let length = header.reduce(0) { $0 << 8 | Int($1) }
                    guard length >= 1, length <= maximum else { throw ProtocolError(message: "a frame of \(length) bytes") }
                    guard let frame = try read(length) else { return nil }
                    if frame[0] != 1 { continue }
                    guard let value = try? JSONSerialization.jsonObject(with: Data(frame.dropFirst())),
                        let object = value as? Object
                    else { throw ProtocolError(message: "a message that is no JSON object") }
                    return object
                }
                return nil
            }

            /// Exactly so many bytes; `nil` when the input ends before them.
            private func read(_ count: Int) throws -> [UInt8]? {
                var bytes = [UInt8](repeating: 0, count: count)
                var done = 0
                while done < count {
                    let got = bytes.withUnsafeMutableBytes { Foundation.read(0, $0.baseAddress! + done, count - done) }
                    if got < 0, errno == EINTR { continue }
                    if got <= 0 { return nil }
                    done += got
                }
                return bytes
            }
        }

        /// Standard output in frames; any thread may send.
        final class Output {
            private let lock = NSLock()

            func send(_ message: Object) {
                guard let json = try? JSONSerialization.data(withJSONObject: message) else { return }
                let length = UInt32(json.count + 1)
                let frame = (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) } + [1] + json
                lock.lock()
                defer { lock.unlock() }
                var done = 0
                while done < frame.count {
                    let count = frame.withUnsafeBytes { write(1, $0.baseAddress! + done, frame.count - done) }
                    if count < 0, errno == EINTR { continue }
                    if count <= 0 { return }
                    done += count
                }
            }
        }

        /// Members of the params of a request. `null` is the same as not there.
        extension Dictionary where Key == String, Value == Any {
            func text(_ name: String) throws -> String {
                guard let text = self[name] as? String else {
                    throw PluginError(code: "invalid_argument", message: "\(name) is missing", details: ["field": name])
                }
                return text
            }

            func object(_ name: String) throws -> Object {
                guard let object = self[name] as? Object else {
                    throw PluginError(code: "invalid_argument", message: "\(name) is missing", details: ["field": name])
                }
                return object
            }

            func number(_ name: String) -> Int? { self[name] as? Int }
        }
        """#

    /// Handshake, requests, events (plugin protocol, sections 3, 4 and 8).
    static let swiftConnection = #"""
        import Foundation

        /// One connection with the worker: reads requests, and lets the host answer them in the background, so that a slow
        /// one holds up no other.
        final class Connection {
            private let output = Output()
            private let queue = DispatchQueue(label: "requests", attributes: .concurrent)
            private let lock = NSLock()
            private var cancelled: Set<Int> = []
            private var sequence = 0
            private var isSubscribed = false

            /// Serves until the input ends.
            ///
            /// - Returns: the process' exit status.
            func serve() -> Int32 {
                do {
                    let input = Input(maximum: 1 << 20)
                    guard let hello = try input.next() else { return 0 }
                    guard hello["kind"] as? String == "hello" else { throw ProtocolError(message: "no hello") }
                    let versions = hello["versions"] as? [Int] ?? []
                    var answer: Object = ["kind": "hello", "protocol": "vmops-plugin", "versions": [1]]
                    guard versions.contains(1) else {
                        output.send(answer)
                        return 76
                    }
                    let host = try Host(hello) { [self] uuid, incarnation, type, reason in
                        report(uuid, incarnation, type, reason)
                    }
                    answer["version"] = 1
                    answer["nonce"] = hello["nonce"]
                    for (name, value) in host.description { answer[name] = value }
                    output.send(answer)
                    while let message = try input.next() { receive(message, host) }
                    // Answers that are on their way still go out.
                    queue.sync(flags: .barrier) {}
                    return 0
                } catch let error as ProtocolError {
                    output.send(["kind": "error", "error": PluginError(code: "invalid_argument", message: error.message).object])
                } catch let error as PluginError {
                    output.send(["kind": "error", "error": error.object])
                } catch {
                    output.send(["kind": "error", "error": PluginError(code: "internal", message: "\(error)").object])
                }
                return 1
            }

            private func receive(_ message: Object, _ host: Host) {
                switch message["kind"] as? String {
                case "ping":
                    output.send(["kind": "pong", "id": message["id"] ?? 0])
                case "cancel":
                    if let id = message["id"] as? Int { lock.withLock { _ = cancelled.insert(id) } }
                case "request":
                    guard let id = message["id"] as? Int, let method = message["method"] as? String else { return }
                    lock.withLock { _ = cancelled.remove(id) }
                    let params = message["params"] as? Object ?? [:]
                    queue.async { [self] in answer(id, method, params, host) }
                default:
                    // What a later version has to say.
                    break
                }
            }

            private func answer(_ id: Int, _ method: String, _ params: Object, _ host: Host) {
                do {
                    if lock.withLock({ cancelled.remove(id) != nil }) {
                        throw PluginError(code: "cancelled", message: "\(method) was cancelled")
                    }
                    if method == "events.subscribe" { lock.withLock { isSubscribed = true } }
                    let result = try host.call(method, params)
                    output.send(["kind": "response", "id": id, "result": result])
                } catch let error as PluginError {
                    output.send(["kind": "response", "id": id, "error": error.object])
                } catch {
                    let error = PluginError(code: "internal", message: "\(method): \(error)")
                    output.send(["kind": "response", "id": id, "error": error.object])
                }
            }

            private func report(_ uuid: String, _ incarnation: Int, _ type: String, _ reason: String?) {
                lock.lock()
                defer { lock.unlock() }
                guard isSubscribed else { return }
                sequence += 1
                var event: Object = [
                    "kind": "event", "seq": sequence, "uuid": uuid, "incarnation": incarnation, "type": type,
                    "time": ISO8601DateFormatter().string(from: Date()),
                ]
                event["reason"] = reason
                output.send(event)
            }
        }
        """#

    static let swiftMain = #"""
        import Foundation

        guard ProcessInfo.processInfo.environment["VMOPS_PLUGIN"] != nil else {
            FileHandle.standardError.write(Data("@NAME@ is a plugin of vmops: vmopsd starts it.\n".utf8))
            exit(1)
        }
        signal(SIGPIPE, SIG_IGN)
        exit(Connection().serve())
        """#
}
