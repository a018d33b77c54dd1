// Levels, buckets and rings as bytes.

extension ByteReader {
    /// A size in KiB as the detectors keep it: a number from 0 up, infinity allowed (no reading yet), never NaN.
    mutating func level() -> Float? {
        guard let value = float(), value >= 0 else { return nil }
        return value
    }
}

extension FloorBucket {
    func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: low.code)
        bytes.append(integer: high.code)
    }

    init?(decoding reader: inout ByteReader) {
        guard let low: UInt16 = reader.integer(), let high: UInt16 = reader.integer(), low <= high else { return nil }
        self.init(low: LogLevel(code: low), high: LogLevel(code: high))
    }
}
