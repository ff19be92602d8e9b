import QEMUHost
import Testing

@Suite struct QEMUSettingsTests {
    @Test func accelerationIsChosenByTheHostUnlessToldOtherwise() {
        #expect(QEMUSettings().acceleration == .auto)
    }
}
