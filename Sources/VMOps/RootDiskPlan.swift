package import HostBackend

/// How an instance's root disk is made (VM operations, section 6.4). Sizes are virtual sizes in bytes.
package struct RootDiskPlan: Sendable, Hashable {
    package var source: DiskSource
    package var format: String
    /// `nil` = as large as the source.
    package var virtualSize: UInt64?

    static let gigabyte: UInt64 = 1 << 30

    /// - Parameters:
    ///   - image: the cached image; `nil` = a blank disk.
    ///   - rootGB: the flavor's size; 0 = as large as the image.
    /// - Returns: `nil` when there is neither an image nor a size: the instance has no root disk.
    package static func plan(
        image: ImageInfo?,
        rootGB: Int,
        copyOnWrite: Bool,
        capabilities: HostCapabilities
    ) throws -> RootDiskPlan? {
        let target = UInt64(rootGB) * gigabyte
        let preferred = capabilities.diskFormats.first ?? "raw"
        guard let image else {
            return target == 0 ? nil : RootDiskPlan(source: .blank, format: preferred, virtualSize: target)
        }
        if target > 0, target < image.virtualSize {
            throw OperationError(
                .flavorDiskSmallerThanImage,
                "Flavor's disk is too small for requested image. Flavor disk is \(target) bytes, "
                    + "image is \(image.virtualSize) bytes.",
                details: ["flavor_size": String(target), "image_size": String(image.virtualSize)]
            )
        }
        let grows = target > image.virtualSize
        let canLayer = copyOnWrite && capabilities.has(.copyOnWriteDisks)
        let layers = canLayer && (!grows || capabilities.has(.resizeDifferencing))
        return RootDiskPlan(
            source: layers ? .overlay(image) : .copy(image),
            format: layers ? preferred : image.format,
            virtualSize: grows ? target : nil
        )
    }
}
