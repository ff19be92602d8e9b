/// How long things between worker and plugin may take (plugin protocol, sections 3, 4 and 10).
package struct PluginTimes: Sendable, Hashable {
    /// From the start to the plugin's hello.
    package var start: Duration
    /// From a deadline to taking the plugin for hung.
    package var grace: Duration
    /// Silence after which the worker asks for a sign of life.
    package var pingAfter: Duration
    /// Silence after which the plugin is hung.
    package var silence: Duration

    package init(
        start: Duration = .seconds(10),
        grace: Duration = .seconds(5),
        pingAfter: Duration = .seconds(10),
        silence: Duration = .seconds(30)
    ) {
        self.start = start
        self.grace = grace
        self.pingAfter = pingAfter
        self.silence = silence
    }
}
