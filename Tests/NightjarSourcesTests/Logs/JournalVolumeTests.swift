import Foundation
import NightjarModel
import NightjarSources
import Testing

/// Runs only beside a journald of its own: Tests/System/journald-sandbox.sh swift test …
@Suite(
    "The volume of a real journal", .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["NIGHTJAR_JOURNALD"] == "1", "needs Tests/System/journald-sandbox.sh"))
struct JournalVolumeTests {
    @Test func `a hundred entries are counted to the byte, by unit and by identifier`() throws {
        let journal = try #require(JournalVolume())
        _ = journal.round()
        try shell(
            "for i in $(seq 100); do echo 'DEBUG cache miss for key=9f3a'; done | systemd-cat -t nj-small -p debug")
        let round = journal.round()
        #expect(!round.isEstimated)
        let share = try #require(round.shares["nj-small"])
        #expect(share.entries == 100)
        #expect(share.bytes == 2900)
        #expect(!share.isUnit)
        #expect(round.lines.contains { $0.source == "nj-small" && $0.priority == 7 })
        #expect(journal.round().entries < 5)
    }

    @Test func `a flood is estimated: all of it counted, few of it read, the loud unit named`() throws {
        let journal = try #require(JournalVolume())
        _ = journal.round()
        try shell(
            """
            root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
            mkdir -p "$root/system.slice/nj-loud.service"
            line='DEBUG cache miss for key=9f3a in shard 7'
            # The writer lives until journald has read it all: whose unit it is, is asked of a living process.
            sh -c "echo \\$\\$ > '$root/system.slice/nj-loud.service/cgroup.procs'; { yes '$line' | head -n 20000; journalctl --sync; sleep 1; } | systemd-cat -t loud"
            rmdir "$root/system.slice/nj-loud.service" 2>/dev/null || true
            for i in $(seq 50); do echo quiet; done | systemd-cat -t nj-quiet
            """)
        let round = journal.round()
        #expect(round.isEstimated)
        // Other tests write to the same journal meanwhile.
        #expect((20_050...22_000).contains(round.entries))
        let loud = try #require(round.shares["nj-loud.service"])
        #expect(loud.isUnit)
        #expect((18_500...20_200).contains(loud.entries))
        #expect(abs(loud.bytes / loud.entries - 40) < 0.5)
        // The next round begins where this one ended.
        #expect(journal.round().entries < 5)
    }

    @Test func `what journald held back is counted for the unit that it was about`() throws {
        let journal = try #require(JournalVolume())
        _ = journal.round()
        try shell(
            """
            printf 'MESSAGE=Suppressed 19700 messages from nj-loud.service\\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\\nN_DROPPED=19700\\nOBJECT_SYSTEMD_UNIT=nj-loud.service\\n' | logger --journald
            """)
        #expect(journal.round().shares["nj-loud.service"]?.suppressed == 19_700)
        #expect(journal.round().shares["nj-loud.service"]?.suppressed ?? 0 == 0)
    }

    @Test func `a rotated journal is followed`() throws {
        let journal = try #require(JournalVolume())
        _ = journal.round()
        try shell(
            "echo before | systemd-cat -t nj-rotate; journalctl --sync; journalctl --rotate; echo after | systemd-cat -t nj-rotate"
        )
        var entries = 0.0
        for _ in 0..<50 where entries < 2 {
            entries += journal.round().shares["nj-rotate"]?.entries ?? 0
            usleep(20_000)
        }
        #expect(entries == 2)
    }

    /// Runs it and waits until the journal holds what it wrote.
    private func shell(_ script: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", script + "\njournalctl --sync"]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
