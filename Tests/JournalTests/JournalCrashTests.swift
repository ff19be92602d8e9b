import Foundation
import Glibc
import Synchronization
import Testing

@testable import Journal

/// Each test runs the writer in a process of its own.
@Suite(.timeLimit(.minutes(5)))
struct JournalCrashTests {
    /// Requests in flight in the child.
    private static let window = 50

    @Test(arguments: [5, 60, 200])
    func keepsEverythingItConfirmedWhenKilled(milliseconds: Int) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, milliseconds = milliseconds as Int] in
            let journal = try Journal(path: path + "/journal.sqlite", logger: quiet)
            let log = open(path + "/confirmed", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            Thread.detachNewThread {
                while access(path + "/confirmed-some", F_OK) != 0 { usleep(500) }
                usleep(useconds_t(milliseconds * 1_000))
                kill(getpid(), SIGKILL)
            }
            await withDiscardingTaskGroup { group in
                for _ in 0..<Self.window {
                    group.addTask {
                        while true {
                            let one = request()
                            guard let entry = try? await journal.admit(one) else { return }
                            note("a \(one.uniqueID)\n", log)
                            let reply = OwedReply(queue: "q", body: Array(one.uniqueID.utf8))
                            guard (try? await journal.finish(entry, outcome: .succeeded, reply: reply)) != nil else {
                                return
                            }
                            note("f \(one.uniqueID)\n", log)
                            close(open(path + "/confirmed-some", O_WRONLY | O_CREAT, 0o600))
                        }
                    }
                }
            }
        }
        let lines = try String(contentsOfFile: path + "/confirmed", encoding: .utf8).split(separator: "\n")
        let accepted = lines.filter { $0.hasPrefix("a ") }.map { String($0.dropFirst(2)) }
        let finished = Set(lines.filter { $0.hasPrefix("f ") }.map { String($0.dropFirst(2)) })
        try #require(!finished.isEmpty)
        let journal = try Journal(path: directory.journal, logger: quiet)
        let owed = Set(
            try await journal.owedReplies(limit: .max).map { String(decoding: $0.reply.body, as: UTF8.self) }
        )
        #expect(finished.isSubset(of: owed))
        let unfinished = Set(try await journal.unfinished(limit: .max).map(\.request.uniqueID))
        for id in accepted {
            #expect(owed.contains(id) != unfinished.contains(id))
            #expect(try await journal.accept(request(id)) == .duplicate)
        }
    }

    @Test func failsCleanlyOnAFullDiskAndRecovers() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        await #expect(processExitsWith: .success) { [path = path as String] in
            signal(SIGXFSZ, SIG_IGN)
            let journal = try Journal(path: path + "/journal.sqlite", logger: quiet)
            let kept = request()
            _ = try await journal.admit(kept)
            var limit = rlimit(rlim_cur: 400_000, rlim_max: rlim_t.max)
            setrlimit(__rlimit_resource_t(1), &limit)
            var accepted: [AcceptedRequest] = [kept]
            var failure: JournalError?
            while failure == nil {
                let one = request(body: [UInt8](repeating: 65, count: 4_000))
                do {
                    _ = try await journal.admit(one)
                    accepted.append(one)
                } catch {
                    failure = error as? JournalError
                }
            }
            #expect(failure?.isTransient == true)
            limit.rlim_cur = rlim_t.max
            setrlimit(__rlimit_resource_t(1), &limit)
            let late = request()
            _ = try await journal.admit(late)
            let found = try await journal.unfinished(limit: .max).map(\.request)
            #expect(found == accepted + [late])
        }
    }

    @Test func oneRequestThatCannotBeWrittenDoesNotFailItsNeighbours() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        await #expect(processExitsWith: .success) { [path = path as String] in
            signal(SIGXFSZ, SIG_IGN)
            let journal = try Journal(path: path + "/journal.sqlite", logger: quiet)
            _ = try await journal.admit(request())
            var limit = rlimit(rlim_cur: 1_000_000, rlim_max: rlim_t.max)
            setrlimit(__rlimit_resource_t(1), &limit)
            let results = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<20 {
                    let huge = number == 7
                    group.addTask {
                        let body = [UInt8](repeating: 65, count: huge ? 3_000_000 : 10)
                        let result = try? await journal.accept(request(body: body))
                        return (result == nil) == huge
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.allSatisfy { $0 })
        }
    }
}

private func note(_ text: String, _ descriptor: CInt) {
    _ = text.withCString { write(descriptor, $0, strlen($0)) }
}
