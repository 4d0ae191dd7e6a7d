// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// Where nothing unsafe is used, nothing unsafe comes in unnoticed.
let safeSwift = swift + [.strictMemorySafety()]

// What does little for each message is compiled for size: `wsd` has 32 MiB at most.
let small: [SwiftSetting] = [.unsafeFlags(["-Osize"], .when(configuration: .release))]

// Nothing loads a program as a library: without the first every symbol is exported, so that nothing unused is left out. The
// others save two MiB of relocations (glibc 2.36); Swift's default linker can't write these.
let program: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "--no-export-dynamic"]),
    .unsafeFlags(["-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"]),
]

let package = Package(
    name: "wsd",
    products: [
        .executable(name: "wsd", targets: ["wsd"]),
        .executable(name: "wsctl", targets: ["wsctl"]),
        .executable(name: "wsbench", targets: ["wsbench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    ],
    targets: [
        // What Swift cannot import by itself.
        .target(name: "CBrokerPlugin"),
        .target(name: "CLinux"),
        .target(name: "CToml", cxxSettings: [.define("TOML_HEADER_ONLY", to: "1")]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // Values that every plane knows: names, addresses, times.
        .target(name: "Base", swiftSettings: swift),
        // The settings with their defaults: what the configuration is read into, and what the data plane goes by.
        .target(name: "Settings", dependencies: ["Base"], swiftSettings: safeSwift),
        // What operators and backends ask for and get: rows, events, selections.
        .target(name: "Operations", dependencies: ["Base"], swiftSettings: safeSwift),

        // The data plane: no dependency but the standard library, zlib and OpenSSL.
        .target(name: "WebSocket", dependencies: ["Base", "CZlib"], swiftSettings: swift),
        .target(name: "Channels", dependencies: ["Base", "Settings"], swiftSettings: swift),
        // TLS: the records of connections without I/O, and the handshake before them, by OpenSSL.
        .target(name: "TLSRecords", dependencies: ["Base", "COpenSSL"], swiftSettings: swift),
        .target(name: "TLSHandshake", dependencies: ["COpenSSL", "TLSRecords"], swiftSettings: swift),
        .target(
            name: "Engine",
            dependencies: [
                "Base", "Broker", "CLinux", "Operations", "Channels", "Settings", "TLSHandshake", "TLSRecords",
                "WebSocket",
            ],
            swiftSettings: swift),

        // The same TLS on a channel of SwiftNIO, and that of connections to servers.
        .target(
            name: "TLSChannel",
            dependencies: ["Base", "TLSHandshake", "TLSRecords", .product(name: "NIOCore", package: "swift-nio")],
            swiftSettings: swift + small),

        // What carries publications between nodes: the seam, and the brokers behind it.
        .target(name: "Broker", dependencies: ["Base"], swiftSettings: swift),
        // What adapters on an event loop have in common.
        .target(
            name: "BrokerSupport",
            dependencies: [
                "Base", "Broker", "CLinux", "TLSChannel", "TLSHandshake",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift + small
        ),
        .target(
            name: "RedisBroker",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "CLinux",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift
        ),

        .target(
            name: "NATSBroker",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "CLinux",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift + small
        ),

        // Brokers that are logs, by plugins in C.
        .target(
            name: "LogBroker",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "CBrokerPlugin", "CLinux", "Channels",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift + small
        ),

        // The control plane.
        .target(name: "Configuration", dependencies: ["Base", "CToml", "Settings"], swiftSettings: swift + small),
        .target(
            name: "Systemd",
            dependencies: ["CLinux", "CSystemd", .product(name: "Logging", package: "swift-log")],
            swiftSettings: swift
        ),
        .target(
            name: "Authentication",
            dependencies: [
                "Base", "Channels", "TLSChannel", "TLSHandshake",
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift + small
        ),
        .target(name: "Varlink", swiftSettings: swift + small),
        .target(
            name: "VarlinkServer",
            dependencies: [
                "Varlink",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift + small
        ),
        .target(
            name: "Control", dependencies: ["Base", "Operations", "Channels", "Varlink"],
            swiftSettings: safeSwift + small),
        // The control plane over all nodes: what they ask each other through the broker.
        .target(
            name: "ClusterControl", dependencies: ["Base", "Broker", "Control", "Operations", "Varlink"],
            swiftSettings: safeSwift + small),
        // What publishes the records of sources outside.
        .target(
            name: "Consuming", dependencies: ["Base", "Broker", "Channels", "Control"],
            swiftSettings: safeSwift + small),
        .target(name: "Metrics", swiftSettings: safeSwift),
        .target(
            name: "API",
            dependencies: [
                "Base", "ClusterControl", "Control", "Operations", "Channels", "Varlink", "WebSocket",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            resources: [.embedInCode("openapi.json")],
            swiftSettings: safeSwift + small
        ),
        .target(name: "Profiling", dependencies: ["CLinux"], swiftSettings: swift),
        .target(name: "Terminal", swiftSettings: safeSwift),

        .target(
            name: "ControlServer",
            dependencies: [
                "Base", "ClusterControl", "Control", "Operations", "Varlink", "VarlinkServer",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: safeSwift + small
        ),

        .executableTarget(
            name: "wsd",
            dependencies: [
                "API", "Authentication", "Base", "Broker", "BrokerSupport", "CLinux", "ClusterControl", "Configuration",
                "Consuming", "Control", "ControlServer", "Engine", "LogBroker", "NATSBroker", "Operations", "Channels",
                "RedisBroker", "Settings",
                "Systemd",
                "TLSChannel", "TLSHandshake", "TLSRecords",
                "Varlink",
                "Metrics", "Profiling", "VarlinkServer",
                "WebSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [
                .embedInCode("Pages/chat.css"), .embedInCode("Pages/chat.html"), .embedInCode("Pages/chat.js"),
                .embedInCode("Pages/wsd.d.ts"), .embedInCode("Pages/wsd.js"),
            ],
            swiftSettings: swift,
            linkerSettings: program
        ),
        .executableTarget(
            name: "wsctl",
            dependencies: [
                "Base", "Control", "Operations", "Terminal", "Varlink",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift,
            linkerSettings: program
        ),
        .executableTarget(
            name: "wsbench",
            dependencies: [
                "CLinux", "Terminal", "WebSocket",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: swift,
            linkerSettings: program
        ),

        .testTarget(
            name: "AuthenticationTests",
            dependencies: [
                "Authentication", "Channels",
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift
        ),
        .testTarget(
            name: "ClusterControlTests",
            dependencies: ["Base", "Broker", "ClusterControl", "Control", "Operations", "Varlink"],
            swiftSettings: swift),
        .testTarget(name: "BrokerTests", dependencies: ["Base", "Broker"], swiftSettings: swift),
        .testTarget(
            name: "RedisBrokerTests",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "RedisBroker",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .testTarget(
            name: "NATSBrokerTests",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "NATSBroker",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .testTarget(
            name: "LogBrokerTests",
            dependencies: [
                "Base", "Broker", "BrokerSupport", "LogBroker",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .testTarget(name: "BaseTests", dependencies: ["Base"], swiftSettings: swift),
        .testTarget(
            name: "ConfigurationTests", dependencies: ["Base", "Configuration", "Settings"], swiftSettings: swift),
        .testTarget(
            name: "ConsumingTests", dependencies: ["Broker", "Consuming", "Control"], swiftSettings: swift),
        .testTarget(
            name: "ControlTests", dependencies: ["Base", "Control", "Operations", "Varlink"], swiftSettings: swift),
        .testTarget(
            name: "ControlServerTests",
            dependencies: [
                "Base", "Broker", "ClusterControl", "Control", "ControlServer", "Operations", "Varlink",
                "VarlinkServer",
            ],
            swiftSettings: swift
        ),
        .testTarget(
            name: "EngineTests",
            dependencies: [
                "Base", "Broker", "CLinux", "Engine", "Operations", "Channels", "Settings", "TLSRecords", "WebSocket",
            ],
            exclude: ["parked-1.state"],
            swiftSettings: swift),
        .testTarget(
            name: "APITests",
            dependencies: [
                "API", "Base", "Broker", "ClusterControl", "Control", "Operations", "Varlink",
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .testTarget(name: "OperationsTests", dependencies: ["Base", "Operations"], swiftSettings: swift),
        .testTarget(name: "ProfilingTests", dependencies: ["Profiling"], swiftSettings: swift),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics"], swiftSettings: swift),
        .testTarget(name: "ChannelsTests", dependencies: ["Base", "Channels", "Settings"], swiftSettings: swift),
        .testTarget(
            name: "SystemdTests",
            dependencies: ["Systemd", .product(name: "Logging", package: "swift-log")],
            swiftSettings: swift
        ),
        .testTarget(
            name: "TLSRecordsTests", dependencies: ["Base", "COpenSSL", "TLSRecords"], swiftSettings: swift),
        .testTarget(
            name: "TLSHandshakeTests", dependencies: ["COpenSSL", "TLSHandshake", "TLSRecords"], swiftSettings: swift),
        .testTarget(
            name: "TLSChannelTests",
            dependencies: [
                "TLSChannel", "TLSHandshake", "TLSRecords", "COpenSSL",
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: swift),
        .testTarget(name: "TerminalTests", dependencies: ["Terminal"], swiftSettings: swift),
        .testTarget(
            name: "VarlinkTests",
            dependencies: ["Varlink", "VarlinkServer"],
            swiftSettings: swift
        ),
        .testTarget(name: "WebSocketTests", dependencies: ["Base", "CZlib", "WebSocket"], swiftSettings: swift),
        .testTarget(name: "wsbenchTests", dependencies: ["Control", "WebSocket", "wsbench"], swiftSettings: swift),
        .testTarget(
            name: "wsctlTests", dependencies: ["Base", "Control", "Operations", "Varlink", "wsctl"],
            swiftSettings: swift),
    ],
    cxxLanguageStandard: .cxx17
)
