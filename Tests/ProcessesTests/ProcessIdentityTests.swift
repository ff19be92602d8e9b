import Processes
import Testing

@Suite struct ProcessIdentityTests {
    @Test func aPidUsedAgainIsAnotherProcess() {
        #expect(ProcessIdentity(pid: 1, startTime: 2) != ProcessIdentity(pid: 1, startTime: 3))
    }
}
