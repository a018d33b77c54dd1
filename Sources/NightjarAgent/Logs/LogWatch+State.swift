// What survives a restart: the baselines of all sources. Templates and totals begin anew. A state of another version, or
// a corrupt one, is no state.

import NightjarDetectors
import NightjarModel

extension LogWatch {
    private static var version: UInt8 { 1 }

    /// The detectors' baselines; about 1.2 KiB a source.
    public func encodedState() -> [UInt8] {
        var out: [UInt8] = [Self.version]
        out.append(integer: UInt16(sources.count))
        for (name, source) in sources {
            out.append(text: name)
            out.append(source.isFile ? 1 : 0)
            source.flood.encode(into: &out)
        }
        return out
    }

    /// Takes over what an earlier run knew; false where it cannot be read, and then nothing is taken.
    public mutating func restore(_ state: [UInt8]) -> Bool {
        var reader = ByteReader(state)
        guard reader.integer(UInt8.self) == Self.version, let count = reader.integer(UInt16.self),
            count <= Self.maximumSources
        else { return false }
        var found: [String: WatchedSource] = [:]
        for _ in 0..<count {
            guard let name = reader.text(), let isFile = reader.integer(UInt8.self),
                let flood = LogFlood(decoding: &reader)
            else { return false }
            var source = WatchedSource(isFile: isFile != 0)
            source.flood = flood
            found[name] = source
        }
        sources = found
        return true
    }
}
