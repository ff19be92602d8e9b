import HTTPClient
import HostBackend
import ImageStore
import OpenStackAPI

/// The image service as a source of the image stores.
struct CloudImages: ImageService {
    let images: ImageClient

    var client: HTTPClient { images.contents }

    func request(for id: String, isRefused: Bool) async throws(BackendError) -> HTTPRequest {
        do throws(OpenStackError) {
            return try await images.content(of: id, isRefused: isRefused)
        } catch {
            let code: BackendError.Code =
                switch error.code {
                case .unauthorized: .unauthorized
                case .notFound: .notFound
                case .cancelled: .cancelled
                case .unavailable: .timeout
                default: .internal
                }
            throw BackendError(code, error.message, cause: error)
        }
    }
}
