import HTTPClient
import Support
import Testing

@Suite struct HTTPURLTests {
    @Test func aURLIsTakenApart() throws {
        let url = try HTTPURL("HTTPS://Images.Example.org/a/../b/c.qcow2?token=secret#part")
        #expect(url.scheme == "https")
        #expect(url.host == "images.example.org")
        #expect(url.port == 443)
        #expect(url.path == "/b/c.qcow2")
        #expect(url.query == "token=secret")
        #expect(url.credentials == nil)
        #expect(!url.text.contains("#"))
    }

    @Test func credentialsAndQueriesDoNotShow() throws {
        let url = try HTTPURL("http://user:pa%20ss@host:8080/path?token=geheim")
        #expect(url.credentials?.user == "user")
        #expect(url.credentials?.password.secret == "pa ss")
        #expect(url.port == 8080)
        #expect(url.text == "http://host:8080/path?token=geheim")
        #expect("\(url)" == "http://host:8080/path?***")
        #expect(!"\(String(reflecting: url.credentials))".contains("pa ss"))
    }

    @Test(arguments: [
        "", "nonsense", "file:///etc/passwd", "ftp://host/x", "gopher://host/x", "http://", "http://ho st/",
        "http://host/a\nb", "http://host:99999/", "http://host/\0", "/path",
        "https://" + String(repeating: "x", count: 9000),
    ])
    func whatIsNoURLOfHTTPIsRefused(text: String) throws {
        #expect(throws: HTTPError.self) { try HTTPURL(text) }
    }

    @Test func anErrorDoesNotShowThePassword() {
        do {
            _ = try HTTPURL("http://user:geheim@ho st/")
            Issue.record("taken")
        } catch {
            #expect(!"\(error)".contains("geheim"))
        }
    }

    @Test func originsAreSchemeHostAndPort() throws {
        let one = try HTTPURL("https://host/a")
        #expect(one.hasOrigin(of: try HTTPURL("https://HOST:443/b")))
        #expect(!one.hasOrigin(of: try HTTPURL("http://host/a")))
        #expect(!one.hasOrigin(of: try HTTPURL("https://host:444/a")))
        #expect(!one.hasOrigin(of: try HTTPURL("https://host.example/a")))
    }
}
