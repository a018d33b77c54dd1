// Where processes live: a cgroup's strings are kept once, however many processes are in it, and dropped with the last.

internal import NightjarModel

struct Places {
    struct Place {
        /// Below the root of the tree that holds its memory limit.
        var cgroup: String?
        var unit: UnitPlace
        var key: [UInt8]
        var residents: Int
    }

    /// No place: the file could not be read.
    static let nowhere: Int32 = -1

    private var places: [Place?] = []
    private var free: [Int32] = []
    private var index: [[UInt8]: Int32] = [:]

    subscript(number: Int32) -> Place? {
        number >= 0 && Int(number) < places.count ? places[Int(number)] : nil
    }

    var count: Int { index.count }

    /// - Parameter file: the bytes of `/proc/PID/cgroup`.
    mutating func enter(_ file: [UInt8]) -> Int32 {
        if let number = index[file] {
            places[Int(number)]?.residents += 1
            return number
        }
        let membership = CgroupMembership(file.span)
        let place = Place(cgroup: membership.memoryPath, unit: membership.place, key: file, residents: 1)
        let number = free.popLast() ?? Int32(places.count)
        if Int(number) == places.count { places.append(place) } else { places[Int(number)] = place }
        index[file] = number
        return number
    }

    /// The container or pod has said what it calls itself.
    mutating func rename(_ number: Int32, _ host: String) {
        guard self[number] != nil else { return }
        places[Int(number)]?.unit.takeHostName(host)
    }

    mutating func release(_ number: Int32) {
        guard let place = self[number] else { return }
        if place.residents > 1 {
            places[Int(number)]?.residents -= 1
        } else {
            index[place.key] = nil
            places[Int(number)] = nil
            free.append(number)
        }
    }
}
