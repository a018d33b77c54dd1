// Kept descriptors. Hot processes keep stat and statm, cold ones of one thread schedstat; when there is no room left, a
// hot process takes it from a cold one.

import Glibc
internal import NightjarModel

struct DescriptorCache {
    /// How many may be open.
    var limit: Int
    var count = 0
    /// Where the search for somebody who can do without goes on.
    var hand = 0

    init(limit: Int) { self.limit = limit }

    /// Not more than the process may open, with some left for everything else.
    static func affordable(_ wanted: Int) -> Int {
        var allowed = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &allowed) == 0 else { return min(wanted, 256) }
        return max(0, min(wanted, Int(clamping: allowed.rlim_cur) - 256))
    }
}

extension ProcessSampler {
    /// Called after a full reading.
    func keepOrLetGo(_ slot: Int) {
        let row = table.rows + slot
        if isHot(slot) {
            // Who has been read only once may be gone as quickly as it came.
            if row.pointee.second < 0, row.pointee.flags.contains(.delivered) { keepPair(slot) }
        } else if row.pointee.first < 0 || row.pointee.second >= 0 {
            if row.pointee.threads == 1, support.schedstat, !row.pointee.flags.contains(.kernelThread) {
                keepSchedstat(slot)
            } else if row.pointee.second >= 0, cache.count > cache.limit / 2 {
                letGo(slot)
            }
        }
    }

    private func keepPair(_ slot: Int) {
        letGo(slot)
        guard makeRoom(2, for: slot) else { return }
        let row = table.rows + slot
        let stat = directory.open(path.of(row.pointee.pid, "/stat"))
        guard stat >= 0 else { return full(stat) }
        let statm = directory.open(path.of(row.pointee.pid, "/statm"))
        guard statm >= 0 else {
            directory.shut(stat)
            return full(statm)
        }
        // The pid may have changed hands before we opened: the next reading compares the start time.
        (row.pointee.first, row.pointee.second) = (stat, statm)
        cache.count += 2
    }

    private func keepSchedstat(_ slot: Int) {
        letGo(slot)
        guard cache.count < cache.limit else { return }
        let row = table.rows + slot
        let file = directory.open(path.of(row.pointee.pid, "/schedstat"))
        guard file >= 0 else { return full(file) }
        row.pointee.first = file
        row.pointee.flags.insert(.keepsSchedstat)
        cache.count += 1
    }

    func letGo(_ slot: Int) {
        let row = table.rows + slot
        if row.pointee.first >= 0 { shut(row.pointee.first) }
        if row.pointee.second >= 0 { shut(row.pointee.second) }
        (row.pointee.first, row.pointee.second) = (-1, -1)
        row.pointee.flags.remove(.keepsSchedstat)
    }

    private func shut(_ file: Int32) {
        directory.shut(file)
        cache.count -= 1
    }

    /// Out of descriptors: then we make do with what we have.
    private func full(_ code: Int32) {
        guard code == -EMFILE || code == -ENFILE else { return }
        swallow(.overLimit)
        cache.limit = cache.count
    }

    /// Takes descriptors from cold processes, at most a few steps of search a call.
    private func makeRoom(_ wanted: Int, for slot: Int) -> Bool {
        var steps = 64
        while cache.count + wanted > cache.limit, steps > 0, table.used > 0 {
            steps -= 1
            cache.hand = cache.hand + 1 < table.used ? cache.hand + 1 : 0
            let hand = cache.hand
            if hand != slot, table.isTaken(hand), table.rows[hand].first >= 0, !isHot(hand) { letGo(hand) }
        }
        return cache.count + wanted <= cache.limit
    }
}
