import Foundation
import NightjarDetectors
import NightjarModel
import NightjarTestKit

/// A file system's history: GiB used by the hour, on a disk of so many GiB.
struct MadeDisk: Sendable {
    var size = 100.0
    var hours: Double
    var step = 300.0
    var used: @Sendable (_ hour: Double) -> Double

    /// What the cards name: what must be found, and what must stay quiet.
    static let named: [String: MadeDisk] = [
        // Four quiet days, then 50 GiB in a day.
        "debug-log-left-on": MadeDisk(hours: 118) { hour in 40 + hour / 24 * 0.2 + max(0, hour - 96) * 2.1 },
        "steady-fill": MadeDisk(hours: 180) { hour in 30 + hour / 24 * 9 },
        "fills-by-day": MadeDisk(hours: 180) { hour in
            let (day, rest) = (floor(hour / 24), hour.truncatingRemainder(dividingBy: 24))
            return 30 + 9 * (day + min(1, max(0, rest - 8) / 10))
        },
        "rotation-that-keeps-a-rest": MadeDisk(hours: 200) { hour in
            35 + hour / 24 * 6 + hour.truncatingRemainder(dividingBy: 24) / 24 * 12
        },
        "burst-that-never-ends": MadeDisk(hours: 49, step: 60) { hour in 20 + max(0, hour - 48) * 100 },
        "already-full": MadeDisk(hours: 30) { hour in min(100, 60 + hour * 4) },

        // 400 MiB in two minutes, with 60 GiB to spare.
        "package-update-burst": MadeDisk(hours: 60, step: 60) { hour in 40 + min(0.4, max(0, hour - 50) * 12) },
        "nightly-batch": MadeDisk(hours: 240) { hour in
            let rest = hour.truncatingRemainder(dividingBy: 24)
            return 30 + (rest >= 3 && rest < 5 ? 30 * min(1, rest - 3) : 0)
        },
        "idle-disk": MadeDisk(hours: 240) { hour in 60 + 0.01 * sin(hour) },
        "rotation-saw-tooth": MadeDisk(hours: 240) { hour in
            30 + hour.truncatingRemainder(dividingBy: 24) / 24 * 40
        },
        "settles-below-full": MadeDisk(hours: 240) { hour in 30 + 45 * (1 - exp(-hour / 30)) },
        "copies-now-and-then": MadeDisk(hours: 240) { hour in 20 + floor(hour / 55) * 12 },
    ]

    /// Everything that a detector said, sample by sample.
    func observed(by detector: inout DiskFill, from first: Double = 0) -> [(hour: Double, answer: Answer)] {
        stride(from: first, through: hours * 3600, by: step).map { seconds in
            (seconds / 3600, detector.observe(sample(at: seconds)))
        }
    }

    func observed() -> [(hour: Double, answer: Answer)] {
        var detector = DiskFill()
        return observed(by: &detector)
    }

    func sample(at seconds: Double) -> MountSample {
        let taken = min(size, used(seconds / 3600))
        return MountSample(
            time: Moment(seconds: seconds), mountPoint: "/data", type: "ext4", device: "/dev/vdb",
            size: Bytes(Int64(size * 1_073_741_824)), available: Bytes(Int64((size - taken) * 1_073_741_824)))
    }
}

extension Answer {
    var finding: Finding? {
        guard case .found(let finding) = self else { return nil }
        return finding
    }

    /// The stage in a disk finding's evidence.
    var stage: String? {
        guard case .text(let word)? = finding?.evidence.first(where: { $0.name == "stage" })?.value else { return nil }
        return word
    }
}
