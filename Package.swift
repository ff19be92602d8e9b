// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")

/// A library target of ours; `docs/architecture.md` has the table of what each may import.
func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: settings)
}

let package = Package(
    name: "vmops",
    products: [
        .executable(name: "vmopsd", targets: ["vmopsd"]),
        .executable(name: "vmopsctl", targets: ["vmopsctl"]),
        .executable(name: "vmops-bench", targets: ["vmops-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // C libraries, each behind one Swift target.
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .systemLibrary(name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSSL", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSystemShims"),

        // Values and formats: no I/O.
        library("Support", ["CSystemShims", deque]),
        library("AMQPModel", ["Support"]),
        library("JSONCodec", ["Support", "CJansson"]),
        library("OsloMessaging", ["Support", "AMQPModel", "JSONCodec", "CZlib"]),
        library("HostBackend", ["Support"]),

        // The broker side.
        library("AMQPTransport", ["Support", "AMQPModel", "CRabbitMQ", "CSystemShims", logging, metrics, deque]),
        library(
            "RPCClient",
            ["Support", "AMQPModel", "JSONCodec", "OsloMessaging", "AMQPTransport", logging, metrics]
        ),
        library("ControlClient", ["Support", "AMQPModel", "JSONCodec", "OsloMessaging", "RPCClient"]),
        library(
            "RPCWorker",
            [
                "Support", "AMQPModel", "JSONCodec", "OsloMessaging", "AMQPTransport", "Journal", logging, metrics,
                lifecycle, deque,
            ]
        ),

        // The machine side.
        library("Journal", ["Support", "HostBackend", "JSONCodec", grdb, logging, metrics, deque]),
        library("Console", ["Support", "HostBackend", "CSystemShims", logging, metrics, system]),
        library("VMOps", ["Support", "HostBackend", "Console", "Journal", logging, metrics]),
        library("ComputeRPC", ["Support", "JSONCodec", "OsloMessaging", "HostBackend", "VMOps", "Console", logging]),
        library("DiskImages", ["Support", "HostBackend", "JSONCodec", "CCrypto", logging, subprocess, system]),
        library(
            "DiskTransfer",
            ["Support", "HostBackend", "DiskImages", "JSONCodec", "CSSL", "CSystemShims", logging, system]
        ),
        library("NovaObjects", ["Support", "JSONCodec"]),
        library(
            "NovaCompute",
            [
                "Support", "JSONCodec", "OsloMessaging", "HostBackend", "VMOps", "ComputeRPC", "NovaObjects",
                "OpenStackAPI", logging,
            ]
        ),
        library("HTTPClient", ["Support", "CCurl", logging]),
        library("OpenStackAPI", ["Support", "HTTPClient", "JSONCodec", logging]),
        library(
            "ImageStore",
            ["Support", "HostBackend", "DiskImages", "HTTPClient", "JSONCodec", logging, system]
        ),
        library(
            "SimulatedHost",
            [
                "Support", "HostBackend", "DiskImages", "DiskTransfer", "ImageStore", "JSONCodec", "CSystemShims",
                logging, system,
            ]
        ),
        library("Processes", ["Support", "CSystemShims", logging]),
        library(
            "PluginProtocol",
            ["Support", "HostBackend", "JSONCodec", "Processes", "CSystemShims", logging, deque]
        ),
        library(
            "PluginHost",
            [
                "Support", "HostBackend", "JSONCodec", "Processes", "PluginProtocol", "CSystemShims", logging, metrics,
            ]
        ),
        library("PluginServer", ["Support", "HostBackend", "JSONCodec", "PluginProtocol", logging]),
        library("QMP", ["Support", "JSONCodec", "CSystemShims", logging]),
        library(
            "QEMUHost",
            [
                "Support", "HostBackend", "DiskImages", "ImageStore", "JSONCodec", "QMP", "Processes", "CSystemShims",
                logging,
                system,
            ]
        ),

        // What tells whether a host does what it has to.
        library("HostConformance", ["Support", "HostBackend"]),
        library(
            "PluginKit",
            ["Support", "HostBackend", "HostConformance", "JSONCodec", "CSystemShims", subprocess, system]
        ),

        // The service.
        library("Configuration", ["Support", "AMQPModel", "OsloMessaging"]),
        library("Observability", ["Support", "CMicroHTTPD", logging, metrics, lifecycle]),
        .executableTarget(
            name: "vmopsd",
            dependencies: [
                "Support", "AMQPModel", "JSONCodec", "AMQPTransport", "OsloMessaging", "RPCWorker", "RPCClient",
                "ComputeRPC", "NovaObjects", "NovaCompute", "OpenStackAPI",
                "VMOps", "HostBackend", "Console", "Journal", "DiskImages", "DiskTransfer", "ImageStore", "HTTPClient",
                "SimulatedHost", "QEMUHost", "PluginProtocol", "PluginHost", "PluginServer", "Configuration",
                "Observability", "CSystemShims",
                logging, metrics, lifecycle, unixSignals, argumentParser, subprocess, system,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "vmopsctl",
            dependencies: [
                "Support", "AMQPModel", "JSONCodec", "OsloMessaging", "RPCClient", "ControlClient", "Configuration",
                "PluginKit", logging, argumentParser, unixSignals,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "vmops-bench",
            dependencies: [
                "Support", "AMQPModel", "JSONCodec", "OsloMessaging", "Console", "HostBackend", logging,
                argumentParser,
            ],
            swiftSettings: settings
        ),

        // Tests: one target per library, then the layers above them.
        .target(
            name: "TestSupport",
            dependencies: ["Support", "JSONCodec", subprocess, logging, system],
            path: "Tests/TestSupport",
            exclude: ["Vectors"],
            swiftSettings: settings
        ),
        // A daemon with a client that asks it, for the tests of the whole.
        .target(
            name: "DaemonBench",
            dependencies: [
                "RPCClient", "AMQPTransport", "AMQPModel", "OsloMessaging", "Support", "TestSupport", logging,
            ],
            path: "Tests/DaemonBench",
            swiftSettings: settings
        ),
        tests("SupportTests", ["Support"]),
        tests("JSONCodecTests", ["JSONCodec", "Support"]),
        tests("OsloMessagingTests", ["OsloMessaging", "AMQPModel", "JSONCodec", "Support"]),
        tests("HostBackendTests", ["HostBackend", "Support"]),
        tests("AMQPTransportTests", ["AMQPTransport", "AMQPModel", "Support", logging]),
        tests("JournalTests", ["Journal", "HostBackend", "Support", logging]),
        tests("ConsoleTests", ["Console", "HostBackend", "Support", "CSystemShims", logging]),
        tests(
            "VMOpsTests",
            ["VMOps", "HostBackend", "Console", "Journal", "SimulatedHost", "DiskTransfer", "Support", logging]
        ),
        tests("HTTPClientTests", ["HTTPClient", "Support", logging]),
        tests("OpenStackAPITests", ["OpenStackAPI", "HTTPClient", "JSONCodec", "Support", logging]),
        tests(
            "ImageStoreTests",
            ["ImageStore", "HTTPClient", "DiskImages", "HostBackend", "Support", logging]
        ),
        tests("DiskImagesTests", ["DiskImages", "HostBackend", "Support", logging]),
        tests("DiskTransferTests", ["DiskTransfer", "DiskImages", "HostBackend", "JSONCodec", "Support", logging]),
        tests(
            "SimulatedHostTests",
            ["SimulatedHost", "DiskImages", "HostBackend", "HostConformance", "Support", "CSystemShims", logging]
        ),
        tests("ProcessesTests", ["Processes", "Support", logging]),
        tests("PluginProtocolTests", ["PluginProtocol", "HostBackend", "JSONCodec", "Support", logging]),
        tests(
            "PluginHostTests",
            [
                "PluginHost", "PluginServer", "PluginProtocol", "HostBackend", "HostConformance", "JSONCodec",
                "Support",
                logging,
            ]
        ),
        tests("QMPTests", ["QMP", "Processes", "Support", "CSystemShims", logging]),
        tests(
            "QEMUHostTests",
            [
                "QEMUHost", "QMP", "Processes", "DiskImages", "HostBackend", "HostConformance", "JSONCodec", "Support",
                logging,
            ]
        ),
        tests(
            "ComputeRPCTests",
            [
                "ComputeRPC", "OsloMessaging", "VMOps", "SimulatedHost", "HostBackend", "Console", "Journal",
                "JSONCodec",
                "Support", logging,
            ]
        ),
        tests("PluginKitTests", ["PluginKit", "HostConformance", "HostBackend", "JSONCodec", "Support"]),
        tests("ConfigurationTests", ["SimulatedHost", "Configuration", "AMQPModel", "OsloMessaging", "Support"]),
        tests("ObservabilityTests", ["Observability", "Support", logging, metrics]),
        tests(
            "RPCClientTests",
            ["RPCClient", "AMQPTransport", "AMQPModel", "OsloMessaging", "JSONCodec", "Support", logging]
        ),
        tests(
            "ControlClientTests",
            ["ControlClient", "RPCClient", "OsloMessaging", "JSONCodec", "Support"]
        ),
        tests(
            "RPCWorkerTests",
            [
                "RPCWorker", "AMQPTransport", "AMQPModel", "OsloMessaging", "Journal", "JSONCodec", "Support", logging,
                lifecycle,
            ]
        ),
        tests("NovaObjectsTests", ["NovaObjects", "JSONCodec", "Support"]),
        tests(
            "NovaTests",
            [
                "DaemonBench", "HostBackend", "JSONCodec", "NovaCompute", "NovaObjects", "OpenStackAPI", "Support",
                subprocess,
            ]
        ),
        tests("ArchitectureTests", []),
        tests("HarnessTests", ["Support"]),
        tests("PythonPluginTests", []),
        tests(
            "BadDayTests",
            [
                "DaemonBench", "RPCClient", "AMQPTransport", "AMQPModel", "OsloMessaging", "JSONCodec", "Support",
                logging, subprocess, system,
            ]
        ),
        tests("CostTests", ["RPCClient", "AMQPTransport", "AMQPModel", "OsloMessaging", "Support", logging]),
        tests("GuestTests", ["DaemonBench", "OsloMessaging", "RPCClient", "Support", subprocess]),
        tests(
            "SecurityTests",
            ["DaemonBench", "OsloMessaging", "Support", subprocess, system]
        ),
        tests(
            "InteropTests",
            [
                "RPCClient", "AMQPTransport", "AMQPModel", "OsloMessaging", "JSONCodec", "Support", "ComputeRPC",
                "VMOps", "HostBackend", "PluginHost", "PluginProtocol",
                "SimulatedHost", "Console", "Journal", logging,
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)
