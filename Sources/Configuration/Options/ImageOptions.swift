/// `[images]`: where images may come from, and what may pass for one.
package enum ImageOptions {
    static let group = "images"

    static let allowedSources = OptionKey<[String]>(
        group,
        "allowed_sources",
        kind: .list,
        default: "",
        fallback: [],
        traits: .reloadable,
        help:
            "URLs below which images may be fetched: file:///directory, https://host/path/ or http://host/path/; empty: nowhere."
    ) { values throws(ValueError) in
        let sources = ValueParser.list(values.last ?? "")
        for source in sources {
            let isURL = ["file:///", "http://", "https://"].contains { source.hasPrefix($0) }
            // Not quoted: what looks like a password is one.
            guard isURL, !source.contains("@"), !source.contains("?"), !source.contains("#") else {
                throw ValueError("holds what is no URL of file, http or https without password and query")
            }
        }
        return sources
    }
    static let requireChecksum = OptionKey<Bool>.boolean(
        group,
        "require_checksum",
        default: false,
        traits: .reloadable,
        "Refuse to fetch an image of which the request gives no checksum."
    )
    static let maxFileGB = OptionKey<Int>.integer(
        group,
        "max_file_gb",
        default: 128,
        in: 1...65536,
        traits: .reloadable,
        "Largest file of an image that is fetched."
    )
    static let maxVirtualGB = OptionKey<Int>.integer(
        group,
        "max_virtual_gb",
        default: 2048,
        in: 1...65536,
        traits: .reloadable,
        "Largest disk that an image may describe."
    )
    static let reserveMB = OptionKey<Int>.integer(
        group,
        "reserve_mb",
        default: 1024,
        in: 0...1 << 30,
        traits: .reloadable,
        "Room that fetching images leaves on their file system."
    )
    static let maxFetches = OptionKey<Int>.integer(
        group,
        "max_fetches",
        default: 4,
        in: 1...64,
        "Images fetched at once; more wait in line."
    )
    static let fetchAttempts = OptionKey<Int>.integer(
        group,
        "fetch_attempts",
        default: 5,
        in: 1...100,
        traits: .reloadable,
        "Tries of one fetch; each continues where the one before broke off, if the server can."
    )
    static let fetchTimeout = OptionKey<Duration>.seconds(
        group,
        "fetch_timeout",
        default: 3600,
        in: 1...604_800,
        traits: .reloadable,
        "For one fetch in all, waiting for others included."
    )
    static let connectTimeout = OptionKey<Duration>.seconds(
        group,
        "connect_timeout",
        default: 30,
        in: 1...3600,
        traits: .reloadable,
        "For a connection to an image server."
    )
    static let stallTimeout = OptionKey<Duration>.seconds(
        group,
        "stall_timeout",
        default: 60,
        in: 1...3600,
        traits: .reloadable,
        "A server that is silent this long is given up."
    )
    static let caFile = OptionKey<String?>.optional(
        group,
        "ca_file",
        traits: .reloadable,
        "PEM file with the authorities that image servers' certificates must come from; empty: the system's."
    )
    static let certificateFile = OptionKey<String?>.optional(
        group,
        "cert_file",
        traits: .reloadable,
        "PEM file with our certificate for image servers that want one."
    )
    static let keyFile = OptionKey<String?>.optional(
        group,
        "key_file",
        traits: .reloadable,
        "PEM file with its key; empty: in cert_file."
    )
    static let proxy = OptionKey<String?>.optional(
        group,
        "proxy",
        traits: [.reloadable, .secret],
        "URL of the proxy for image servers; empty: none, whatever the environment says."
    )

    static let all: [OptionDefinition] = [
        allowedSources.definition, requireChecksum.definition, maxFileGB.definition, maxVirtualGB.definition,
        reserveMB.definition, maxFetches.definition, fetchAttempts.definition, fetchTimeout.definition,
        connectTimeout.definition, stallTimeout.definition, caFile.definition, certificateFile.definition,
        keyFile.definition, proxy.definition,
    ]
}

/// `[image_cache]`: what becomes of fetched images that nobody uses. Names and defaults are Nova's.
package enum ImageCacheOptions {
    static let group = "image_cache"

    static let managerInterval = OptionKey<Int>.integer(
        group,
        "manager_interval",
        default: 2400,
        in: -1...604_800,
        traits: .reloadable,
        "Seconds between looks for unused images; 0: 60; -1: never."
    )
    static let subdirectoryName = OptionKey<String>.string(
        group,
        "subdirectory_name",
        default: "_base",
        "Directory of the fetched images inside the images directory.",
        check: { text throws(ValueError) in
            guard !text.isEmpty, text.utf8.count <= 100, !text.hasPrefix("."), !text.contains("/") else {
                throw ValueError("\(ValueParser.quoted(text)) is not the plain name of a directory")
            }
            return text
        }
    )
    static let removeUnused = OptionKey<Bool>.boolean(
        group,
        "remove_unused_base_images",
        default: true,
        traits: .reloadable,
        "Remove fetched images that no instance uses."
    )
    static let minimumAge = OptionKey<Duration>.seconds(
        group,
        "remove_unused_original_minimum_age_seconds",
        default: 86_400,
        in: 60...ValueParser.longestSeconds,
        traits: .reloadable,
        "How long an image stays after its last use."
    )
    static let resizedMinimumAge = OptionKey<Duration>.seconds(
        group,
        "remove_unused_resized_minimum_age_seconds",
        default: 3600,
        traits: .noEffect,
        "There are no resized copies: a disk that is larger than its image is a layer over it."
    )
    static let precacheConcurrency = OptionKey<Int>.integer(
        group,
        "precache_concurrency",
        default: 1,
        traits: .noEffect,
        "Images are fetched when they are needed."
    )

    static let all: [OptionDefinition] = [
        managerInterval.definition, subdirectoryName.definition, removeUnused.definition, minimumAge.definition,
        resizedMinimumAge.definition, precacheConcurrency.definition,
    ]
}
