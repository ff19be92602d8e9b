import HostBackend
import Testing

@Suite struct InstanceUUIDTests {
    @Test(arguments: [
        "6f70656e-7374-6163-6b20-6e6f76612031",
        "6F70656E-7374-6163-6B20-6E6F76612031",
        "{6f70656e-7374-6163-6b20-6e6f76612031}",
        "6f70656e737461636b206e6f76612031",
    ])
    func acceptsEveryFormAndKeepsOne(text: String) {
        #expect(InstanceUUID(text)?.text == "6f70656e-7374-6163-6b20-6e6f76612031")
    }

    @Test(arguments: [
        "", "-", "instance-1", "6f70656e-7374-6163-6b20-6e6f7661203", "../../etc",
        "6f70656e-7374-6163-6b20-6e6f76612031\0",
    ])
    func refusesAllElse(text: String) {
        #expect(InstanceUUID(text) == nil)
    }
}
