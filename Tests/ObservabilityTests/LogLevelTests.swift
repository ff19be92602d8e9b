import Logging
import Testing

@testable import Observability

@Suite struct LogLevelTests {
    @Test func sharedLevelChangesForLoggersInUse() async throws {
        let capture = try LogCapture()
        capture.control.level = .warning
        let logger = capture.logger(.text)
        logger.info("one")
        capture.control.level = .debug
        logger.debug("two")
        logger.trace("three")
        capture.control.level = .error
        logger.warning("four")
        #expect(try await capture.lines().map { $0.split(separator: " ").last } == ["two"])
    }

    @Test func ownLevelStaysWithItsLogger() async throws {
        let capture = try LogCapture()
        var loud = capture.logger(.text)
        let quiet = loud
        loud.logLevel = .trace
        capture.control.level = .critical
        loud.trace("loud")
        quiet.error("quiet")
        #expect(try await capture.lines().map { $0.split(separator: " ").last } == ["loud"])
    }

    @Test func metadataOfLoggerAndEventMerge() async throws {
        let capture = try LogCapture()
        var logger = capture.logger(.text)
        logger[metadataKey: "host"] = "a"
        logger[metadataKey: "kept"] = "1"
        logger.info("m", metadata: ["host": "b"])
        #expect(try #require(ParsedLine(try await capture.lines()[0])).fields == ["host": "b", "kept": "1"])
    }
}
