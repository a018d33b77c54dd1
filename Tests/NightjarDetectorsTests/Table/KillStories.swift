// Histories of a host on which the kernel kills, or does not: one row a second, as text.
//
//     host_kills   oom_kill of the host        kills   of /system.slice/checkout.service, empty: the cgroup is gone
//     available    of the host, KiB            limit   of that cgroup, KiB; empty: none
//     ended        a process that vanished: name, and its size in KiB after a colon

/// One made history of kills.
struct KillStory {
    var name: String
    var about: String
    private var rows: [String] = []

    var text: String {
        "# nightjar-trace v1; source=made; speedup=1; kind=kill; \(about)\n"
            + "t,host_kills,available,kills,limit,ended\n" + rows.joined(separator: "\n") + "\n"
    }

    /// Rows are `"0,4000000,0,524288,"` with the number of seconds that they last.
    init(_ name: String, _ about: String, _ parts: [(row: String, seconds: Int)]) {
        self.name = name
        self.about = about
        for part in parts {
            for _ in 0..<part.seconds { rows.append("\(rows.count),\(part.row)") }
        }
    }

    static let all: [KillStory] = [
        KillStory(
            "killed-at-its-limit", "the unit met its own limit and was started again",
            [("0,4000000,0,524288,", 20), ("1,4000000,1,524288,checkout:517000", 1), ("1,4000000,1,524288,", 60)]),
        KillStory(
            "killed-for-the-host", "nothing was left on the host; the largest went",
            [
                ("0,4000000,0,,", 20), ("0,90000,0,,", 20), ("1,60000,0,,checkout:3145728", 1),
                ("1,3200000,0,,", 60),
            ]),
        KillStory(
            "cgroup-gone-with-its-counter", "systemd removed the cgroup before anybody read its counter",
            [("0,4000000,0,524288,", 20), ("1,4000000,,,checkout:480000", 1), ("1,4000000,,,", 60)]),
        KillStory(
            "large-batch-ends", "a large process ends by itself",
            [("0,4000000,0,524288,", 20), ("0,4000000,0,524288,checkout:517000", 1), ("0,4000000,0,524288,", 60)]),
        KillStory(
            "counter-starts-again", "the unit was restarted and its counter began at 0",
            [("5,4000000,5,524288,", 20), ("5,4000000,,,checkout:100000", 1), ("5,4000000,0,524288,", 60)]),
    ]
}
