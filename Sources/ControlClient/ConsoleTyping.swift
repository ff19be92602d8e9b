import OsloMessaging
import RPCClient
import Support

/// Sends what an operator types to an instance's console, wherever the instance is.
///
/// Every byte goes out at most once: what a host may have taken is not sent again. At most one request is under way.
package actor ConsoleTyping {
    /// What a host takes at once.
    package static let mostBytes = 4096

    private let compute: ComputeClient
    private let reference: InstanceReference
    private var place: Instance?

    package init(_ compute: ComputeClient, _ reference: InstanceReference) {
        self.compute = compute
        self.reference = reference
    }

    /// Types `bytes`.
    ///
    /// - Returns: why they did not arrive, or may not have; `nil` when all is well.
    package func type(_ bytes: [UInt8]) async throws -> String? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Self.mostBytes)
            rest = rest.dropFirst(piece.count)
            do {
                try await send(piece)
            } catch let failure as RemoteFailure {
                return failure.message
            } catch let failure as ControlError {
                return failure.message
            } catch let error as RPCClientError {
                return "what was typed may be lost: \(error)"
            }
        }
        return nil
    }

    private func send(_ bytes: ArraySlice<UInt8>) async throws {
        let known = place
        var target = known
        if target == nil { target = try await compute.find(reference) }
        guard let target else { return }
        place = target
        do {
            try await send(bytes, to: target)
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" && known != nil {
            // Refused, so it may be sent again, to where the instance has moved.
            place = nil
            let found = try await compute.findAnywhere(InstanceReference(target.uuid))
            place = found
            try await send(bytes, to: found)
        }
    }

    private func send(_ bytes: ArraySlice<UInt8>, to place: Instance) async throws {
        _ = try await compute.sender.call(
            compute.target(place.host),
            "console_write",
            ["instance": place.argument, "data": .string(Base64.encode(bytes))],
            timeout: compute.times.read,
            monitorTimeout: nil
        )
    }
}

/// Looks for the keys that leave a console: Ctrl-] and a full stop. Ctrl-] twice types it once; before any other key it
/// is typed as well.
package struct EscapeKeys: Sendable {
    /// Ctrl-].
    package static let prefix: UInt8 = 0x1D

    private var isPending = false

    package init() {}

    /// - Returns: what is to be typed, and whether the operator leaves; what was read behind that is dropped.
    package mutating func take(_ bytes: [UInt8]) -> (typed: [UInt8], leaves: Bool) {
        var typed: [UInt8] = []
        for byte in bytes {
            switch (isPending, byte) {
            case (false, Self.prefix):
                isPending = true
            case (true, UInt8(ascii: ".")):
                return (typed, true)
            case (true, Self.prefix):
                typed.append(byte)
                isPending = false
            case (true, _):
                typed += [Self.prefix, byte]
                isPending = false
            case (false, _):
                typed.append(byte)
            }
        }
        return (typed, false)
    }
}
