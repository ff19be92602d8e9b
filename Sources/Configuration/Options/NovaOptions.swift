/// `[nova]`: hosts as compute services of a control plane of Nova's (Nova's compute RPC, chapter 10).
package enum NovaOptions {
    static let group = "nova"

    static let computeAPI = OptionKey<Bool>.boolean(
        group,
        "compute_api",
        default: false,
        "Answer Nova's own compute RPC, version 6.x, beside this project's methods. A conductor implies it."
    )
    static let conductor = OptionKey<NovaConductor>.choice(
        group,
        "conductor",
        default: .none,
        "Where states of instances and migrations are saved: none (nowhere), or rpc: through nova-conductor."
    )
    static let conductorTopic = OptionKey<String>.string(
        group,
        "conductor_topic",
        default: "conductor",
        "The conductor's topic.",
        check: ValueChecks.routingWord
    )
    static let conductorPatience = OptionKey<Duration>.seconds(
        group,
        "conductor_patience",
        default: 600,
        in: 1...86_400,
        "How long a save is tried again while no conductor answers. Its operation does not end before."
    )
    static let objectVersions = OptionKey<[String]>.list(
        group,
        "object_versions",
        "Versions to send objects in, in place of those of Nova 26, as Instance:2.8."
    )
    static let responseTimeout = OptionKey<Duration>.seconds(
        group,
        "rpc_response_timeout",
        default: 60,
        in: 1...3600,
        "How long an answer of the conductor or of another compute service is waited for."
    )
    static let shutdownTimeout = OptionKey<Duration>.seconds(
        group,
        "shutdown_timeout",
        default: 60,
        in: 0...86_400,
        "How long a guest that Nova stops may take to shut itself down."
    )

    static let all: [OptionDefinition] = [
        computeAPI.definition, conductor.definition, conductorTopic.definition, conductorPatience.definition,
        objectVersions.definition, responseTimeout.definition, shutdownTimeout.definition,
    ]
}
