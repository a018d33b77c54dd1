/// An amount of memory, disk or log volume, in bytes. May be negative where it is a difference.
public struct Bytes: Hashable, Comparable, Sendable, AdditiveArithmetic, CustomStringConvertible {
    public var count: Int64

    @inlinable public init(_ count: Int64) { self.count = count }

    /// So many times 1,024, 1,024² or 1,024³ bytes.
    @inlinable public static func kibi(_ n: Int64) -> Bytes { Bytes(n << 10) }
    @inlinable public static func mebi(_ n: Int64) -> Bytes { Bytes(n << 20) }
    @inlinable public static func gibi(_ n: Int64) -> Bytes { Bytes(n << 30) }

    @inlinable public static var zero: Bytes { Bytes(0) }
    @inlinable public static func + (a: Bytes, b: Bytes) -> Bytes { Bytes(a.count &+ b.count) }
    @inlinable public static func - (a: Bytes, b: Bytes) -> Bytes { Bytes(a.count &- b.count) }
    @inlinable public static func < (a: Bytes, b: Bytes) -> Bool { a.count < b.count }

    /// `512 B`, `4.0 KiB`, `36 MiB`, `1.5 GiB`: two digits below ten, none above.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var value = Double(count.magnitude)
        var unit = 0
        while value >= 1023.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let sign = count < 0 ? "-" : ""
        if unit == 0 || value >= 9.95 { return "\(sign)\(Int64(value.rounded())) \(units[unit])" }
        let tenths = Int64((value * 10).rounded())
        return "\(sign)\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
