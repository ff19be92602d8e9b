import Testing

@testable import Support

@Suite struct ResidentCodeTests {
    @Test func onlyCodeOfFilesIsGivenBack() {
        let maps = """
            5605a0000000-5605a0010000 r--p 00000000 fe:01 1311 /usr/bin/vmopsd
            5605a0010000-5605a0030000 r-xp 00010000 fe:01 1311 /usr/bin/vmopsd
            5605a0030000-5605a0040000 rw-p 00030000 fe:01 1311 /usr/bin/vmopsd
            7f00a0000000-7f00a0001000 r-xp 00000000 fe:01 1312   /usr/lib/a library.so
            7f00a0100000-7f00a0101000 rwxp 00000000 00:00 0
            7f00a0200000-7f00a0201000 r-xs 00000000 fe:01 1313 /usr/lib/shared
            7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0    [vdso]
            nonsense
            """
        let found = ResidentCode.mappings(of: Array(maps.utf8))
        #expect(found.map(\.start) == [0x5605_a001_0000, 0x7f00_a000_0000])
        #expect(found.map(\.end) == [0x5605_a003_0000, 0x7f00_a000_1000])
    }

    @Test func theProcessGoesOnAfterwards() {
        #expect(ResidentCode.giveBack() > 0)
        #expect((1...100).map { $0 * $0 }.reduce(0, +) == 338_350)
    }
}
