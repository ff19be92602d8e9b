import Logging
import Support
import Testing

@testable import Observability

@Suite struct SecretTests {
    static let texts = [
        "admin_password=hunter2", "admin_pass: hunter2 x", "{\"admin_password\": \"hun\\\"hunter2\"}",
        "{'auth_token': 'hunter2', 'a': 1}", "injected_files=[['/etc/x', 'hunter2'], ['y', ']hunter2']] end",
        "{\"oslo.message\": \"{\\\"password\\\": \\\"hunter2\\\"}\"}", "rabbit://user:hunter2@host:5672/vh",
        "rabbit://a:hunter2@h1,b:hunter2@h2/", "rabbit://u:hun/hunter2@h/ x", "rabbit://u@x:hunter2@h",
        "cannot connect to rabbit://u:hunter2@h: refused", "X-Auth-Token: hunter2", "Password=\"hunter2",
        "ssl_key_password = hunter2", "rabbit://u:12,hunter2@h/",
    ]

    @Test(arguments: texts, [LineLogHandler.Format.text, .json])
    func textNeverShowsASecret(text: String, format: LineLogHandler.Format) async throws {
        let capture = try LogCapture()
        let logger = capture.logger(format)
        logger.info("\(text)")
        logger.info("m", metadata: ["text": .string(text)])
        logger.info("m", metadata: ["deep": ["list": [.string(text)]]])
        logger.info("m", metadata: ["error": .stringConvertible(Told(description: text))])
        logger.error("m", error: Told(description: text))
        let lines = try await capture.lines()
        #expect(lines.count == 5)
        #expect(!lines.joined().contains("hunter2"), "\(lines)")
        #expect(lines.allSatisfy { $0.contains("***") })
    }

    @Test func valuesOfSecretKeysAreMasked() async throws {
        let capture = try LogCapture()
        let metadata: Logger.Metadata = [
            "admin_password": "hunter2", "injected_files": ["hunter2"], "Auth-Token": ["a": "hunter2"],
            "nested": ["password": "hunter2"], "redacted": .stringConvertible(Redacted("hunter2")),
            "interpolated": "\(Redacted("hunter2"))",
        ]
        capture.logger(.text).info("m", metadata: metadata)
        capture.logger(.json).info("m", metadata: metadata)
        let text = try await capture.lines().joined()
        #expect(!text.contains("hunter2"))
    }

    @Test(arguments: [
        "plain text", "a: b, c=d", "http://host:80/path?x=1", "12:30:45", "rabbit://host:5672/", "token",
        "passwords: 3", "mail a@b",
    ])
    func innocentTextStays(text: String) {
        #expect(SecretScrubber.scrub(text) == text)
    }

    @Test func whatSurroundsASecretStays() {
        #expect(SecretScrubber.scrub("a=1 password=x, b=2") == "a=1 password=***, b=2")
        #expect(SecretScrubber.scrub("{\"password\": \"x\", \"b\": 2}") == "{\"password\": ***, \"b\": 2}")
        #expect(SecretScrubber.scrub("to rabbit://u:p@h:1/v failed") == "to rabbit://***@h:1/v failed")
        #expect(SecretScrubber.scrub("rabbit://u:p@h1,h2:5,v:q@[::1]:5/v") == "rabbit://***@h1,h2:5,***@[::1]:5/v")
    }

    struct Told: Error, CustomStringConvertible {
        var description: String
    }
}
