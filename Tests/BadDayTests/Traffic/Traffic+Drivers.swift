import DaemonBench
import Foundation
import Support
import Synchronization
import TestSupport

extension Traffic {
    /// Random operations on a machine, one after the other, until it is over. A machine about which nothing can be
    /// told any more is left behind for a new one.
    func drive(_ number: Int, startingOn host: String) async throws {
        var machine = 0
        var last: String?
        while !isOver || last == nil {
            machine += 1
            let instance = TestInstance("vm-\(number)-\(machine)", on: host)
            var model = MachineModel(host: host)
            try makeVolumes(number)
            repeat {
                let operation = choose(model, number)
                try await step(operation, instance, &model, twice: Int.random(in: 0..<4) == 0)
                if settings.pause > .zero { try await Task.sleep(for: settings.pause) }
            } while !isOver && !model.isLost
            last = instance.uuid
            let final = model
            state.withLock { state in
                if final.isLost { state.abandoned.insert(instance.uuid) } else { state.models[instance] = final }
            }
        }
    }

    private func step(
        _ operation: MachineOperation,
        _ instance: TestInstance,
        _ model: inout MachineModel,
        twice: Bool
    ) async throws {
        let generation = state.withLock { $0.generation }
        let asCast = twice && operation.isRepeatable && !settings.losesRequests
        let ending = try await perform(operation, instance, on: model.host, asCast: asCast)
        let interrupted = state.withLock { $0.generation } != generation
        model.ended(operation, ending, times: asCast ? 2 : 1, interrupted: interrupted)
    }

    /// Mostly what makes sense in the state, now and then anything.
    private func choose(_ model: MachineModel, _ number: Int) -> MachineOperation {
        guard Int.random(in: 0..<10) > 0 else { return anything(number) }
        switch model.state {
        case MachineModel.absent: return .spawn
        case "paused": return [.unpause, .unpause, .suspend, .hardReboot, device(number)].randomElement() ?? .unpause
        case "suspended": return [.resume, .resume, .powerOn, .snapshot(UniqueID.make())].randomElement() ?? .resume
        case "off": return [.powerOn, .powerOn, .destroy, .hardReboot, device(number)].randomElement() ?? .powerOn
        default: break
        }
        let others = settings.hosts.filter { $0 != model.host }
        let choices: [MachineOperation] = [
            .powerOff, .pause, .suspend, .hardReboot, .hardReboot, .softReboot, .powerOn, .destroy, device(number),
            device(number), .snapshot(UniqueID.make()), others.randomElement().map { .migrate($0) } ?? .pause,
        ]
        return choices.randomElement() ?? .pause
    }

    private func anything(_ number: Int) -> MachineOperation {
        let all: [MachineOperation] = [
            .spawn, .powerOn, .powerOff, .pause, .unpause, .suspend, .resume, .hardReboot, device(number),
        ]
        return all.randomElement() ?? .spawn
    }

    private func device(_ number: Int) -> MachineOperation {
        let id = "\(number)\(Int.random(in: 1...3))"
        let all: [MachineOperation] = [
            .attachInterface("nic-\(id)"), .detachInterface("nic-\(id)"), .attachVolume("volume-\(id)"),
            .detachVolume("volume-\(id)"),
        ]
        return all.randomElement() ?? .pause
    }

    private func makeVolumes(_ number: Int) throws {
        for volume in 1...3 {
            let path = "\(volumes)/volume-\(number)\(volume)"
            guard !FileManager.default.fileExists(atPath: path) else { continue }
            try Data(count: 1 << 20).write(to: URL(filePath: path))
        }
    }
}
