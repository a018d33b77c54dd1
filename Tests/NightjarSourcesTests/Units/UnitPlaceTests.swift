import NightjarModel
import Testing

@testable import NightjarSources

private let hex = "3f2a1b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a"
private let uid = "1f3e5d7c-1111-2222-3333-444455556666"
private let scored = "1f3e5d7c_1111_2222_3333_444455556666"

@Suite("Units by cgroup") struct UnitPlaceTests {
    @Test(arguments: [
        ("/system.slice/checkout.service", "checkout.service", UnitPlace.Kind.service),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", .service),
        ("/system.slice/checkout.service/worker", "checkout.service", .service),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", .scope),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service/init.scope", .userUnit),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "user@1000.service/sync.service",
            .userUnit
        ),
        ("/system.slice/docker-\(hex).scope", "docker-3f2a1b9c8d7e", .container),
        ("/docker/\(hex)", "docker-3f2a1b9c8d7e", .container),
        ("/machine.slice/libpod-\(hex).scope/container", "podman-3f2a1b9c8d7e", .container),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-\(hex).scope/container",
            "podman-3f2a1b9c8d7e", .container
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod\(scored).slice/cri-containerd-\(hex).scope",
            "pod-\(uid)", .pod
        ),
        ("/kubepods/besteffort/pod\(uid)/\(hex)", "pod-\(uid)", .pod),
        ("/kubepods.slice/kubepods-pod\(scored).slice/crio-\(hex).scope", "pod-\(uid)", .pod),
        (
            "/machine.slice/systemd-nspawn@box.service/payload/system.slice/x.service",
            "systemd-nspawn@box.service/x.service", .machine
        ),
        ("/machine.slice/machine-box.scope", "machine-box.scope", .machine),
        ("/system.slice", "system.slice", .slice),
        ("/init.scope", "init.scope", .scope),
        ("/system.slice/_cpu.service", "cpu.service", .service),
    ])
    func `a path names the unit`(path: String, name: String, kind: UnitPlace.Kind) {
        let place = UnitPlace(cgroup: path)
        #expect(place.name == name)
        #expect(place.kind == kind)
    }

    @Test(arguments: ["/", "", "/process_api/a78a68f96fd15814782092e564952d0b", "/../..", "//", "/lxc/web"])
    func `a path outside any unit names none`(path: String) {
        #expect(UnitPlace(cgroup: path) == UnitPlace())
    }

    @Test func `containers, pods and users are told apart`() {
        let pod = UnitPlace(cgroup: "/kubepods/burstable/pod\(uid)/\(hex)")
        #expect(pod.pod == uid)
        #expect(pod.container == UnitPlace.Container(runtime: "containerd", id: "3f2a1b9c8d7e"))
        #expect(UnitPlace(cgroup: "/user.slice/user-1000.slice/session-3.scope").user == 1000)
        #expect(UnitPlace(cgroup: "/system.slice/docker-\(hex).scope").container?.runtime == "docker")
    }

    @Test(arguments: ["docker-123.scope", "docker-.scope", "docker-zz\(hex.dropFirst(2)).scope"])
    func `what only looks like a container is a scope`(name: String) {
        #expect(UnitPlace(cgroup: "/system.slice/\(name)").kind == .scope)
    }

    @Test func `a container's own name is better than its id, unless it is the id`() {
        var pod = UnitPlace(cgroup: "/kubepods/burstable/pod\(uid)/\(hex)")
        pod.takeHostName("checkout-7d9c5b6f4-x2x9z")
        #expect(pod.name == "pod-checkout-7d9c5b6f4-x2x9z")
        var docker = UnitPlace(cgroup: "/docker/\(hex)")
        docker.takeHostName("3f2a1b9c8d7e")
        #expect(docker.name == "docker-3f2a1b9c8d7e")
        docker.takeHostName("web")
        #expect(docker.name == "docker-web")
        var service = UnitPlace(cgroup: "/system.slice/a.service")
        service.takeHostName("web")
        #expect(service.name == "a.service")
    }

    private func membership(_ text: String) -> CgroupMembership {
        let bytes = Array(text.utf8)
        return CgroupMembership(bytes.span)
    }

    @Test func `memory is looked for where it is counted`() {
        let hybrid = membership(
            """
            9:name=systemd:/system.slice/x.service
            4:memory:/system.slice/x.service
            2:cpu,cpuacct:/
            0::/system.slice/x.service/sub
            """)
        #expect(hybrid.memoryPath == "/system.slice/x.service")
        #expect(hybrid.place.name == "x.service")
        #expect(membership("0::/a.service\n").memoryPath == "/a.service")
        #expect(membership("11:hugetlb,memory:/b:c\n").memoryPath == "/b:c")
    }

    @Test func `a container runtime that wrote only into the memory tree is still found`() {
        let place = membership("9:name=systemd:/\n4:memory:/docker/\(hex)\n0::/\n").place
        #expect(place.name == "docker-3f2a1b9c8d7e")
    }

    @Test(arguments: ["", "\n", "::", "0:", "0::", "a:b:c", "0::relative", ":::::\n\n0::/"])
    func `lines that are no membership are passed over`(text: String) {
        #expect(membership(text).place == UnitPlace())
    }
}
