import Glibc
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSources

@Suite("Groups, version 1 and 2") struct CgroupReaderTests {
    private let now = Moment(seconds: 1000)
    private let service = "/system.slice/checkout.service"

    @Test(arguments: FakeCgroups.Layout.allCases)
    func `limit, current, anonymous part and events are read in every layout`(layout: FakeCgroups.Layout) throws {
        let tree = FakeCgroups(layout)
        tree.set("/system.slice", current: .gibi(3))
        tree.set(
            service, limit: .mebi(512), current: .mebi(400), anonymous: .mebi(300), oomKills: 2,
            throttled: .milliseconds(1500), tasksLimit: 100, tasks: 90)
        let reader = CgroupReader(sys: tree.root)
        #expect(reader.version.rawValue == layout.rawValue)
        let sample = try #require(reader.sample(path: service, unit: "checkout.service", at: now))
        #expect((sample.memoryLimit, sample.limitedBy) == (.mebi(512), service))
        #expect((sample.memoryCurrent, sample.memoryAnonymous) == (.mebi(400), .mebi(300)))
        #expect(sample.oomKills == 2)
        #expect(sample.throttled == .milliseconds(1500))
        #expect((sample.tasksLimit, sample.tasksCurrent) == (100, 90))
        #expect(reader.errors.total == 0)
    }

    @Test(arguments: FakeCgroups.Layout.allCases)
    func `the lowest limit on the way to the root counts, with that group's use`(layout: FakeCgroups.Layout) throws {
        let tree = FakeCgroups(layout)
        tree.set("/system.slice", limit: .mebi(256), current: .mebi(250), anonymous: .mebi(200))
        tree.set(service, limit: .mebi(512), current: .mebi(100), anonymous: .mebi(90))
        let sample = try #require(CgroupReader(sys: tree.root).sample(path: service, at: now))
        #expect((sample.memoryLimit, sample.limitedBy) == (.mebi(256), "/system.slice"))
        #expect((sample.memoryCurrent, sample.memoryAnonymous) == (.mebi(250), .mebi(200)))
    }

    @Test func `inside a container the root itself has the limit`() throws {
        let tree = FakeCgroups(.v2)
        tree.set("/", limit: .mebi(128), current: .mebi(100), tasksLimit: 50, tasks: 7)
        let sample = try #require(CgroupReader(sys: tree.root).sample(path: "/", at: now))
        #expect((sample.memoryLimit, sample.limitedBy) == (.mebi(128), "/"))
        #expect(sample.memoryCurrent == .mebi(100))
        #expect((sample.tasksLimit, sample.tasksCurrent) == (50, 7))
    }

    @Test(arguments: FakeCgroups.Layout.allCases)
    func `no limit anywhere is nil, and the group's own use is given`(layout: FakeCgroups.Layout) throws {
        let tree = FakeCgroups(layout)
        tree.set("/system.slice")
        tree.set(service, current: .mebi(7))
        let sample = try #require(CgroupReader(sys: tree.root).sample(path: service, at: now))
        #expect((sample.memoryLimit, sample.limitedBy) == (nil, nil))
        #expect(sample.memoryCurrent == .mebi(7))
        #expect((sample.tasksLimit, sample.tasksCurrent) == (nil, 1))
    }

    @Test func `the tasks limit with the fewest left counts`() throws {
        let tree = FakeCgroups(.v2)
        tree.set("/system.slice", tasksLimit: 1000, tasks: 995)
        tree.set(service, tasksLimit: 100, tasks: 10)
        let sample = try #require(CgroupReader(sys: tree.root).sample(path: service, at: now))
        #expect((sample.tasksLimit, sample.tasksCurrent) == (1000, 995))
    }

    @Test(arguments: FakeCgroups.Layout.allCases)
    func `a group that is gone is nil`(layout: FakeCgroups.Layout) {
        let tree = FakeCgroups(layout)
        tree.set(service)
        let reader = CgroupReader(sys: tree.root)
        #expect(reader.sample(path: service, at: now) != nil)
        tree.remove(service)
        #expect(reader.sample(path: service, at: now) == nil)
    }

    @Test(arguments: ["/../../etc", "/system.slice/../..", "relative", ""])
    func `a path that leaves the tree is refused`(path: String) {
        let tree = FakeCgroups(.v2)
        #expect(CgroupReader(sys: tree.root).sample(path: path, at: now) == nil)
    }

    @Test(arguments: FakeCgroups.Layout.allCases)
    func `files that say nonsense are counted and left out`(layout: FakeCgroups.Layout) throws {
        let tree = FakeCgroups(layout)
        tree.set(service, limit: .mebi(5))
        let unified = layout == .v2
        tree.write(unified ? "" : "memory", service, unified ? "memory.max" : "memory.limit_in_bytes", "lots\n")
        tree.write(unified ? "" : "memory", service, "memory.stat", "anon\nanon x\ntotal_rss \n")
        let reader = CgroupReader(sys: tree.root)
        let sample = try #require(reader.sample(path: service, at: now))
        #expect(sample.memoryLimit == nil)
        #expect(sample.memoryAnonymous == nil)
        #expect(reader.errors[.malformed] == 1)
    }

    @Test func `a host without groups has none`() {
        let empty = TemporaryFolder()
        let reader = CgroupReader(sys: empty.path)
        #expect(reader.version == .none)
        #expect(reader.sample(path: "/x", at: now) == nil)
    }

    @Test func `our own group is found on this machine, where it has a memory controller`() throws {
        let sampler = try ProcessSampler()
        _ = sampler.round(at: now) { _, _, _ in }
        let slot = try #require(sampler.slot(of: getpid()))
        let reader = CgroupReader()
        guard reader.version != .none, let path = sampler.identity(slot)?.cgroup, !path.contains("..") else { return }
        let sample = try #require(reader.sample(path: path, at: now))
        if let current = sample.memoryCurrent { #expect(current > .zero) }
    }
}
