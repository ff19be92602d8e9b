import DiskImages
import HTTPClient
import HostBackend

/// A place from which an image is fetched, allowed and ready.
enum FetchSource: Sendable {
    case file(OpenedFile)
    case web(HTTPURL)
    /// An image of the image service.
    case service(String)

    /// What tells its content from that of other sources. A file that was changed is another one; a web address is
    /// taken to mean the same for ever.
    var identity: [String] {
        switch self {
        case .file(let file): ["file", file.path, String(file.status.size), String(file.status.modified)]
        case .web(let url): ["web", url.text]
        case .service(let id): ["service", id]
        }
    }

    /// For records and logs.
    var description: String {
        switch self {
        case .file(let file): "file://" + file.path
        case .web(let url): url.description
        case .service(let id): "image service, \(id)"
        }
    }
}

extension ImageStore {
    /// - Throws: `invalidArgument` when the configuration does not allow it; `notFound` for a missing file.
    func source(_ location: ImageLocation, _ settings: ImageStoreSettings) async throws -> FetchSource {
        switch location {
        case .name:
            throw BackendError(.invalidArgument, "its location is no URL")
        case .file(let path):
            let directories = settings.sources.compactMap(\.directory)
            return .file(try await disks.work.run { _ in try OpenedFile(path, below: directories) })
        case .web(let url):
            guard settings.sources.contains(where: { $0.allows(url) }) else {
                throw BackendError(.invalidArgument, "images may not come from there; see allowed_sources")
            }
            return .web(url)
        }
    }
}
