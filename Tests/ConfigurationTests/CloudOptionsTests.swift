import Support
import Testing

@testable import Configuration

@Suite struct CloudOptionsTests {
    private static let user = """
        auth_type = password
        auth_url = http://controller:5000/v3
        username = nova
        password = s3cret
        user_domain_name = Default
        project_name = service
        project_domain_name = Default

        """

    @Test func nothingIsAskedWithoutAConductorOrCredentials() throws {
        let cloud = try settings("[keystone_authtoken]\n" + Self.user + "[placement]\n" + Self.user).cloud
        #expect(cloud.placement == nil)
        #expect(cloud.images == nil)
        let bare = try settings("[nova]\nconductor = rpc\n[glance]\nregion_name = One\n").cloud
        #expect(bare.placement == nil)
        #expect(bare.images == nil)
        #expect(bare.network == nil)
    }

    @Test func aServiceTakesItsOwnUserOrTheOneOfTheWholeFile() throws {
        let text =
            "[nova]\nconductor = rpc\n[keystone_authtoken]\n" + Self.user
            + "cafile = /etc/ssl/ca.pem\nmemcached_servers = controller:11211\nwww_authenticate_uri = http://x\n"
            + "[placement]\n" + Self.user.replacing("nova", with: "placer") + "region_name = One\n"
            + "[neutron]\nauth_section = placement\nservice_metadata_proxy = true\nvalid_interfaces = admin\n"
            + "[glance]\nendpoint_override = http://images:9292\ninsecure = true\nconnect_retries = 7\n"
        let result = load(text)
        #expect(result.texts == [])
        let cloud = try #require(result.settings?.cloud)
        #expect(cloud.placement?.credentials?.username == "placer")
        #expect(cloud.placement?.region == "One")
        #expect(cloud.placement?.caFile == nil)
        #expect(cloud.network?.credentials?.username == "placer")
        #expect(cloud.network?.interfaces == ["admin"])
        #expect(cloud.network?.serviceType == "network")
        #expect(cloud.images?.credentials?.username == "nova")
        #expect(cloud.images?.credentials?.password.secret == "s3cret")
        #expect(cloud.images?.endpointOverride == "http://images:9292")
        #expect(cloud.images?.caFile == "/etc/ssl/ca.pem")
        #expect(cloud.images?.insecure == true)
        #expect(cloud.images?.connectRetries == 7)
        #expect("\(String(describing: cloud))".contains("s3cret") == false)
    }

    @Test func aSlipOfThePenIsToldAndAPasswordIsNot() {
        let slip = load("[placement]\nusernmae = nova\n")
        #expect(slip.texts.count == 1)
        #expect(slip.texts.first?.contains("did you mean username?") == true)
        let url = load("[placement]\nauth_url = http://nova:s3cret@controller/\n")
        #expect(url.errors.count == 1)
        #expect(url.texts.allSatisfy { !$0.contains("s3cret") })
    }

    @Test func aWayOfAskingThatNobodyKnowsMattersOnlyWhereSomebodyAsks() {
        let text = "[glance]\nauth_type = v3kerberos\n"
        #expect(load(text).texts == [])
        let asked = load("[nova]\nconductor = rpc\n" + text)
        #expect(asked.errors.count == 1)
        #expect(asked.texts.first?.contains("v3password") == true)
    }

    @Test func aHostsResourcesAreSaidWithNovasNames() throws {
        let nova = try settings(
            "[DEFAULT]\nmy_ip = 192.0.2.7\ncpu_allocation_ratio = 8.5\nram_allocation_ratio = 0.0\n"
                + "initial_ram_allocation_ratio = 1.5\nreserved_host_cpus = 2\nreserved_host_memory_mb = 2048\n"
                + "reserved_host_disk_mb = 10240\nvif_plugging_timeout = 7\nvif_plugging_is_fatal = false\n"
        ).nova
        #expect(nova.address == "192.0.2.7")
        #expect(nova.cpuAllocationRatio == 8.5)
        #expect(nova.ramAllocationRatio == nil)
        #expect(nova.diskAllocationRatio == nil)
        #expect(nova.initialRAMAllocationRatio == 1.5)
        #expect(nova.initialCPUAllocationRatio == 4)
        #expect([nova.reservedCPUs, nova.reservedMemoryMB, nova.reservedDiskMB] == [2, 2048, 10240])
        #expect(nova.pluggingTimeout == .seconds(7))
        #expect(nova.pluggingIsFatal == false)
        // This project's own group has the last word, and nothing is made up.
        let own = try settings(
            "[DEFAULT]\nmy_ip = 192.0.2.7\ncpu_allocation_ratio = 8\nreserved_host_memory_mb = 2048\n[nova]\n"
                + "my_ip = 192.0.2.8\ncpu_allocation_ratio = 2\nreserved_host_memory_mb = 0\n"
        ).nova
        #expect(own.address == "192.0.2.8")
        #expect(own.cpuAllocationRatio == 2)
        #expect(own.reservedMemoryMB == 0)
        let none = try settings("").nova
        #expect(none.address == nil)
        #expect(none.reservedMemoryMB == 512)
        #expect(none.pluggingTimeout == .seconds(300))
    }

    @Test func novasNotificationsNeedAConductor() throws {
        let text = "[notifications]\nnotification_format = both\nversioned_notifications_topics = a, b\nlevel = INFO\n"
        #expect(try settings(text).nova.notificationFormat == .unversioned)
        let nova = try settings("[nova]\nconductor = rpc\n" + text).nova
        #expect(nova.notificationFormat == .both)
        #expect(nova.notificationTopics == ["a", "b"])
        #expect(try settings("[nova]\nconductor = rpc\n").nova.notificationFormat == .unversioned)
    }
}
