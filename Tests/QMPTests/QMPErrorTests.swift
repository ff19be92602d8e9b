import QMP
import Testing

@Suite struct QMPErrorTests {
    @Test func theMessageIsWhatIsShown() {
        #expect("\(QMPError(.timeout, "no answer to query-status"))" == "no answer to query-status")
    }
}
