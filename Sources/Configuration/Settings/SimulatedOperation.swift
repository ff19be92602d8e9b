/// What a simulated host can be told to take time for or to fail at; the raw value is part of the option's name.
package enum SimulatedOperation: String, Sendable, Hashable, CaseIterable {
    case spawn
    case destroy
    case powerOn = "power_on"
    case powerOff = "power_off"
    /// The request to a guest to shut down, as opposed to switching it off.
    case shutdown
    case reboot
    case pause
    case unpause
    case suspend
    case resume
    case liveMigration = "live_migration"
    case snapshot
    case attachVolume = "attach_volume"
    case detachVolume = "detach_volume"
    case attachInterface = "attach_interface"
    case detachInterface = "detach_interface"
    case getInfo = "get_info"
    /// Opening the serial console.
    case openConsole = "open_console"
}
