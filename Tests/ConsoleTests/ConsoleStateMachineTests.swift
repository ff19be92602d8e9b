import Testing

@testable import Console

@Suite struct ConsoleStateMachineTests {
    private func pause(_ action: ConsoleStateMachine.Action) -> Duration? {
        if case .pause(let duration) = action { duration } else { nil }
    }

    @Test func connectsReadsAndDrains() {
        var machine = ConsoleStateMachine(ConsoleSettings())
        #expect(machine.event(.start, now: .zero) == .connect)
        #expect(machine.state == .connecting)
        #expect(machine.event(.opened, now: .zero) == .read)
        #expect(machine.state == .attached)
        #expect(machine.event(.closeRequested, now: .zero) == .drain)
        #expect(machine.state == .draining)
        #expect(machine.event(.closeRequested, now: .zero) == .none)
        #expect(machine.event(.ended(bytes: 1), now: .zero) == .finish)
        #expect(machine.state == .closed)
        #expect(machine.event(.start, now: .zero) == .none)
    }

    @Test func connectsAgainAfterAPauseThatGrows() {
        let settings = ConsoleSettings()
        var machine = ConsoleStateMachine(settings)
        _ = machine.event(.start, now: .zero)
        for _ in 0..<20 {
            let duration = pause(machine.event(.openFailed(forGood: false), now: .zero))
            #expect(duration.map { $0 >= settings.reconnectInitial && $0 <= settings.reconnectMax } == true)
            #expect(machine.event(.pauseOver, now: .zero) == .connect)
        }
        #expect(machine.reconnects == 0)
    }

    @Test func immediateEndsDoNotSpin() {
        let settings = ConsoleSettings()
        var machine = ConsoleStateMachine(settings)
        _ = machine.event(.start, now: .zero)
        var pauses: [Duration?] = []
        for number in 0..<10 {
            let now = Duration.milliseconds(number)
            _ = machine.event(.opened, now: now)
            pauses.append(pause(machine.event(.ended(bytes: 0), now: now)))
            _ = machine.event(.pauseOver, now: now)
        }
        #expect(pauses[settings.spinLimit...].allSatisfy { $0 == settings.reconnectMax })
        #expect(machine.reconnects == 9)
    }

    @Test func anEndAfterOutputWaitsOnlyTheShortestPause() {
        let settings = ConsoleSettings()
        var machine = ConsoleStateMachine(settings)
        _ = machine.event(.start, now: .zero)
        for number in 0..<50 {
            _ = machine.event(.opened, now: .milliseconds(number))
            #expect(pause(machine.event(.ended(bytes: 1), now: .milliseconds(number))) == settings.reconnectInitial)
            _ = machine.event(.pauseOver, now: .milliseconds(number))
        }
    }

    @Test func aMachineWithoutConsoleIsLeftAlone() {
        var machine = ConsoleStateMachine(ConsoleSettings())
        _ = machine.event(.start, now: .zero)
        #expect(machine.event(.openFailed(forGood: true), now: .zero) == .finish)
        #expect(machine.hasNoConsole)
        #expect(machine.state == .closed)
    }

    @Test(arguments: [ConsoleState.idle, .connecting, .backoff])
    func closingNeedsNoEndpoint(state: ConsoleState) {
        var machine = ConsoleStateMachine(ConsoleSettings())
        if state != .idle { _ = machine.event(.start, now: .zero) }
        if state == .backoff { _ = machine.event(.openFailed(forGood: false), now: .zero) }
        #expect(machine.state == state)
        #expect(machine.event(.closeRequested, now: .zero) == .finish)
        #expect(machine.state == .closed)
    }
}
