// A burst: somebody writes so fast that no forecast from hours of history can see it. The rule is the same at three
// scales: sustained for a window, and at this pace nothing is left within four times the window.
//
//     window 15 min → zero within 1 h        any reading interval up to 5 min
//     window  1 min → zero within 4 min      only where less than half of the size is left,
//     window 10 s   → zero within 40 s       and only where readings come every few seconds
//
// Sustained means that every part of the window rose at 30 % of the mean pace or more: a single copy or an `apt-get
// update` between two readings is no burst. A disk that has risen as high within three hours before, in the last week,
// and came down again, stays quiet as long as the highest such rise would fit (see `FillWatch.isUsual`).

import NightjarModel

/// The readings of one window, at most ten of them.
struct FillBurst: Sendable, Equatable {
    struct Point: Sendable, Equatable {
        var time: Moment
        var used: Double
    }

    var length: Duration
    /// Above this share of free space the window does not judge.
    var freeAtMost: Double
    private(set) var points: [Point] = []
    private(set) var isOpen = false

    init(length: Duration, freeAtMost: Double) {
        self.length = length
        self.freeAtMost = freeAtMost
    }

    static let all = [
        FillBurst(length: .minutes(15), freeAtMost: 1), FillBurst(length: .minutes(1), freeAtMost: 0.5),
        FillBurst(length: .seconds(10), freeAtMost: 0.5),
    ]

    /// Takes a reading; the pace in units a second where the window is covered and everything in it rose.
    mutating func observe(_ used: Double, size: Double, at time: Moment) -> Double? {
        points.removeAll { time - $0.time > length * 1.15 || $0.time > time }
        var judged: Double?
        if let pace = pace(to: used, at: time) {
            let left = (size - used) / pace
            let horizon = length.inSeconds * (isOpen ? 8 : 4)
            isOpen = left <= horizon && (isOpen || size - used <= freeAtMost * size)
            judged = isOpen ? pace : nil
        } else {
            isOpen = false
        }
        if let last = points.last, time - last.time < length / 8 { return judged }
        points.append(Point(time: time, used: used))
        return judged
    }

    private func pace(to used: Double, at time: Moment) -> Double? {
        guard let oldest = points.first, points.count >= 3 else { return nil }
        let span = (time - oldest.time).inSeconds
        guard span >= 0.8 * length.inSeconds else { return nil }
        let pace = (used - oldest.used) / span
        guard pace > 0 else { return nil }
        let all = points + [Point(time: time, used: used)]
        for (from, to) in zip(all, all.dropFirst()) {
            let seconds = (to.time - from.time).inSeconds
            // The newest reading may follow the last kept point closely; too little time to judge a pace by.
            if seconds * 16 < length.inSeconds { continue }
            if (to.used - from.used) / seconds < 0.3 * pace { return nil }
        }
        return pace
    }
}
