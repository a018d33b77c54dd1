// A cache as it should be: it holds so many pages, finds some of them again, and gives up the one that was not used for
// longest. Its memory rises until it is full and then stays. Nobody should be woken for it.

/// One page, in the order of use.
final class CachedPage {
    let key: Int
    var body: [UInt8]
    var newer: CachedPage?
    unowned(unsafe) var older: CachedPage?

    init(key: Int, size: Int) {
        self.key = key
        body = [UInt8](repeating: UInt8(truncatingIfNeeded: key), count: size)
    }
}

/// Least recently used pages leave first.
final class PageCache {
    private let capacity: Int
    private var pages: [Int: CachedPage] = [:]
    private var oldest: CachedPage?
    private var newest: CachedPage?

    init(capacity: Int) { self.capacity = capacity }

    func page(_ key: Int, size: Int) -> CachedPage {
        if let page = pages[key] {
            unlink(page)
            append(page)
            return page
        }
        if pages.count >= capacity, let oldest {
            unlink(oldest)
            pages[oldest.key] = nil
        }
        let page = CachedPage(key: key, size: size)
        pages[key] = page
        append(page)
        return page
    }

    private func append(_ page: CachedPage) {
        page.older = newest
        newest?.newer = page
        newest = page
        if oldest == nil { oldest = page }
    }

    private func unlink(_ page: CachedPage) {
        let next = page.newer
        page.older?.newer = next
        next?.older = page.older
        if oldest === page { oldest = next }
        if newest === page { newest = page.older }
        page.newer = nil
        page.older = nil
    }
}

let healthyCache = Incident(
    name: "healthy-cache", story: "a cache fills up to its bound and stays there: no alert", detector: nil,
    limit: .seconds(180), mustSay: []
) { arguments in
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    let cache = PageCache(capacity: max(1, arguments.value("--capacity").flatMap(Int.init) ?? 20_000))
    var checksum = 0
    // Two of three are asked for again: popular pages, drawn from a range that moves on slowly.
    pace(arguments) { number in
        let key = number % 3 == 0 ? number : (number &* 2_654_435_761) % 10_000
        checksum &+= cache.page(key, size: size).body.count
    }
    print("checksum \(checksum)")
}
