/// How simulated hosts and their guests behave.
package struct SimulatedSettings: Sendable, Hashable {
    package var memoryMB: Int
    package var vcpus: Int
    package var diskGB: Int
    package var bootLines: Int
    package var bootLineInterval: Duration
    package var loginPrompt: Bool
    /// Pause between numbered lines; zero = none are printed.
    package var tickInterval: Duration
    /// How long a guest takes to shut down when asked to.
    package var shutdown: Duration
    package var ignoreShutdown: Bool
    /// Zero = guests never crash.
    package var crashAfter: Duration
    /// Time beyond the real work; operations without a delay are absent.
    package var delays: [SimulatedOperation: Duration]
    /// Operations that never fail are absent.
    package var faults: [SimulatedOperation: FaultRule]

    init(_ reader: SettingsReader) {
        memoryMB = reader[SimulatedOptions.memoryMB]
        vcpus = reader[SimulatedOptions.vcpus]
        diskGB = reader[SimulatedOptions.diskGB]
        bootLines = reader[SimulatedOptions.bootLines]
        bootLineInterval = reader[SimulatedOptions.bootLineInterval]
        loginPrompt = reader[SimulatedOptions.loginPrompt]
        tickInterval = reader[SimulatedOptions.tickInterval]
        shutdown = reader[SimulatedOptions.shutdown]
        ignoreShutdown = reader[SimulatedOptions.ignoreShutdown]
        crashAfter = reader[SimulatedOptions.crashAfter]
        delays = [:]
        faults = [:]
        for operation in SimulatedOperation.allCases {
            let delay = reader[SimulatedOptions.delay(operation)]
            if delay > .zero { delays[operation] = delay }
            faults[operation] = reader[SimulatedOptions.fault(operation)]
        }
    }
}
