import NightjarSources
import NightjarTestKit
import Testing

private func table(_ lines: String...) -> MountTable { MountTable(Array(lines.joined(separator: "\n").utf8)) }

@Suite("MountTable") struct MountTableTests {
    @Test func `a line is taken apart as documented`() throws {
        let entry = try #require(
            table("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue").entries
                .first)
        #expect(entry.id == 36)
        #expect(entry.parent == 35)
        #expect(entry.deviceNumber == 98 << 32)
        #expect(entry.root == "/mnt1")
        #expect(entry.mountPoint == "/mnt2")
        #expect(entry.type == "ext3")
        #expect(entry.source == "/dev/root")
        #expect(!entry.isReadOnly)
    }

    @Test func `names with blanks, line ends and backslashes come out whole`() {
        let entries = table(#"36 35 98:0 / /mnt/my\040disk\134x\012y rw - ext4 /dev/a\040b rw"#).entries
        #expect(entries.first?.mountPoint == "/mnt/my disk\\x\ny")
        #expect(entries.first?.source == "/dev/a b")
    }

    @Test func `read-only is seen on the mount and on the file system`() {
        #expect(table("1 0 8:1 / / ro,relatime - ext4 /dev/a rw").entries.first?.isReadOnly == true)
        #expect(table("1 0 8:1 / / rw,relatime - ext4 /dev/a ro").entries.first?.isReadOnly == true)
        #expect(table("1 0 8:1 / / rw,relatime - ext4 /dev/a rw").entries.first?.isReadOnly == false)
    }

    @Test func `pseudo file systems are off, a tmpfs comes in when asked for`() {
        let mounts = table(
            "1 0 8:1 / / rw - ext4 /dev/vda rw", "2 1 0:4 / /proc rw - proc proc rw",
            "3 1 0:5 / /dev/shm rw - tmpfs tmpfs rw", "4 1 0:6 / /snap/x ro - squashfs /dev/loop0 ro",
            "5 1 0:7 / /srv rw - nfs4 host:/srv rw",
            "6 1 0:8 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw")
        #expect(mounts.watched().map(\.mountPoint) == ["/", "/srv"])
        #expect(mounts.watched(also: ["tmpfs"]).map(\.mountPoint) == ["/", "/dev/shm", "/srv"])
        #expect(mounts.watched().last?.isRemote == true)
    }

    @Test func `bind mounts and second mounts of a device are the same space`() {
        let mounts = table(
            "5 1 8:1 /srv/data /mnt/bind rw - ext4 /dev/vda rw", "1 0 8:1 / / rw - ext4 /dev/vda rw",
            "7 1 8:1 / /mnt/again rw - ext4 /dev/vda rw")
        #expect(mounts.watched().map(\.mountPoint) == ["/"])
    }

    @Test func `a mount that another covers is not asked`() {
        let mounts = table("1 0 8:1 / /data rw - ext4 /dev/a rw", "2 1 8:2 / /data rw - ext4 /dev/b rw")
        #expect(mounts.watched().map(\.source) == ["/dev/b"])
    }

    @Test func `in a container the overlay at the root is watched`() {
        #expect(table("1 0 0:44 / / rw - overlay overlay rw").watched().map(\.mountPoint) == ["/"])
    }

    @Test func `a path belongs to the longest mount above it`() {
        let mounts = table(
            "1 0 8:1 / / rw - ext4 /dev/a rw", "2 1 8:2 / /var rw - ext4 /dev/b rw",
            "3 1 8:3 / /var/log rw - ext4 /dev/c rw")
        #expect(mounts.entry(holding: "/var/log/app.log")?.source == "/dev/c")
        #expect(mounts.entry(holding: "/var/logs/app.log")?.source == "/dev/b")
        #expect(mounts.entry(holding: "/etc/passwd")?.source == "/dev/a")
    }

    @Test func `lines that are none are counted, and nothing else happens`() {
        let mounts = table("", "nonsense", "1 2 3", "1 0 8:1 / / rw ext4 /dev/a rw x y z", "x 0 8:1 / / rw - ext4 a rw")
        #expect(mounts.entries.isEmpty)
        #expect(mounts.malformed == 4)
    }

    @Test func `hostile tables are survived`() {
        let good = Array("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw\n".utf8)
        var random = SplitMix(seed: 5)
        for _ in 0..<3000 {
            var bytes = good + good
            for _ in 0...random.below(6) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            let mounts = MountTable(Array(bytes.prefix(random.below(bytes.count + 1))))
            _ = mounts.watched()
            _ = mounts.entry(holding: "/mnt 2/x")
        }
        let many = MountTable(Array(String(repeating: "1 0 8:1 / /m rw - ext4 /dev/a rw\n", count: 20_000).utf8))
        #expect(many.entries.count == MountTable.maximumEntries)
    }
}
