// Which message floods? Lines that differ only in their variable parts are one template.
//
//     DEBUG cache miss for key=9f3a in 12ms ╮
//     DEBUG cache miss for key=77b0 in 8ms  ├─▶  DEBUG cache miss for key=<*> in <*>      61 %, debug, first seen 14:02
//     DEBUG cache miss for key=1c9e in 31ms ╯
//
// A line is compared with the templates of its length, token by token; the most alike one takes it, if at least half
// of its words agree, and words that differ become variable for ever. A template keeps hashes of its words, no text:
// what a log says only a few times is never kept. Text is kept once the template has been seen eight times, of the words
// that were the same every time. Weights halve every five minutes, so shares speak of now, and the first time stays.
//
// At most 32 templates of 24 words: 16 KiB a source at worst. A new template takes the place of the lightest.

public import NightjarModel

/// A message template, as it is shown.
public struct LogTemplate: Hashable, Sendable {
    public var text: String
    /// Share of the source's recent bytes, 0…1, estimated from the lines that were sampled.
    public var share: Double
    public var level: LogLevel?
    public var firstSeen: Moment
    /// Lines sampled so far.
    public var sampled: Int

    public init(text: String, share: Double, level: LogLevel?, firstSeen: Moment, sampled: Int) {
        self.text = text
        self.share = share
        self.level = level
        self.firstSeen = firstSeen
        self.sampled = sampled
    }
}

/// Finds the templates of one log source from a sample of its lines.
public struct TemplateMiner: Sendable {
    public static let maximumTemplates = 32
    /// Text is kept from so many sightings on.
    public static let publishedAt = 8
    static let maximumText = 160
    static let halving: Duration = .minutes(5)

    private struct Entry: Sendable {
        /// Hash of each word, 0 where it is variable.
        var words: [UInt64]
        var weight: Double
        var sampled = 1
        var level: LogLevel?
        var firstSeen: Moment
        /// Empty until published, and again after a word became variable.
        var text = ""
    }

    private var entries: [Entry] = []
    private var halvedAt: Moment?
    private var total = 0.0
    private var byLevel = [Double](repeating: 0, count: LogLevel.allCases.count)

    public init() {}

    /// How many templates are kept.
    public var count: Int { entries.count }

    /// Takes one line, without its end.
    ///
    /// - Parameters:
    ///   - weight: how many bytes of the log it stands for.
    ///   - level: what is known of its level besides its text (the journal's PRIORITY).
    public mutating func observe(
        _ line: UnsafeBufferPointer<UInt8>, weight: Double, level: LogLevel? = nil, at time: Moment
    ) {
        guard weight > 0, weight.isFinite else { return }
        halve(at: time)
        let parsed = LogLine(line)
        let level = parsed.level ?? level
        total += weight
        if let level { byLevel[Int(level.rawValue)] += weight }
        let words = parsed.tokens.map { token in
            token.isVariable ? 0 : Self.hash(line, token.range.lowerBound..<token.fixedEnd)
        }
        let place = bestMatch(words) ?? add(words, level: level, at: time)
        merge(words, into: place, weight: weight, level: level)
        if entries[place].sampled >= Self.publishedAt, entries[place].text.isEmpty {
            entries[place].text = parsed.isBinary ? "(binary data)" : Self.text(parsed, line, entries[place].words)
        }
    }

    /// The heaviest published templates.
    public func top(_ limit: Int = 3) -> [LogTemplate] {
        let published = entries.filter { !$0.text.isEmpty }.sorted { ($0.weight, $1.text) > ($1.weight, $0.text) }
        return published.prefix(limit).map { entry in
            LogTemplate(
                text: entry.text, share: total > 0 ? min(1, entry.weight / total) : 0, level: entry.level,
                firstSeen: entry.firstSeen, sampled: entry.sampled)
        }
    }

    /// Share of recent bytes in lines of level debug or trace.
    public var debugShare: Double {
        total > 0 ? (byLevel[Int(LogLevel.trace.rawValue)] + byLevel[Int(LogLevel.debug.rawValue)]) / total : 0
    }

    // MARK: Matching

    private func bestMatch(_ words: [UInt64]) -> Int? {
        var best: (place: Int, agreeing: Int)?
        for (place, entry) in entries.enumerated() where entry.words.count == words.count {
            var agreeing = 0
            var fixed = 0
            for (mine, theirs) in zip(words, entry.words) {
                if mine != 0 || theirs != 0 { fixed += 1 }
                if mine != 0, mine == theirs { agreeing += 1 }
            }
            // Half of the words that are fixed in either agree, or neither has any.
            guard agreeing * 2 >= fixed else { continue }
            if agreeing > best?.agreeing ?? -1 { best = (place, agreeing) }
        }
        return best?.place
    }

    private mutating func add(_ words: [UInt64], level: LogLevel?, at time: Moment) -> Int {
        let entry = Entry(words: words, weight: 0, sampled: 0, level: level, firstSeen: time)
        if entries.count < Self.maximumTemplates {
            entries.append(entry)
            return entries.count - 1
        }
        let lightest = entries.indices.min { entries[$0].weight < entries[$1].weight } ?? 0
        entries[lightest] = entry
        return lightest
    }

    private mutating func merge(_ words: [UInt64], into place: Int, weight: Double, level: LogLevel?) {
        entries[place].weight += weight
        entries[place].sampled += 1
        if entries[place].level == nil { entries[place].level = level }
        for (position, word) in words.enumerated()
        where entries[place].words[position] != word && entries[place].words[position] != 0 {
            entries[place].words[position] = 0
            entries[place].text = ""
        }
    }

    private mutating func halve(at time: Moment) {
        guard let last = halvedAt else {
            halvedAt = time
            return
        }
        guard time - last >= Self.halving else { return }
        halvedAt = time
        let factor = time - last >= Self.halving * 8 ? 0 : 0.5
        total *= factor
        for place in entries.indices { entries[place].weight *= factor }
        for place in byLevel.indices { byLevel[place] *= factor }
    }

    // MARK: Words

    /// FNV-1a; never 0.
    private static func hash(_ line: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> UInt64 {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for position in range { value = (value ^ UInt64(line[position])) &* 0x100_0000_01b3 }
        return value == 0 ? 1 : value
    }

    /// Fixed words as they stand in the line, `<*>` for the rest, several in a row as one.
    private static func text(_ parsed: LogLine, _ line: UnsafeBufferPointer<UInt8>, _ words: [UInt64]) -> String {
        var out: [UInt8] = []
        var lastWasVariable = false
        for (token, word) in zip(parsed.tokens, words) where out.count < maximumText {
            let isKey = token.fixedEnd < token.range.upperBound
            if word == 0 {
                if lastWasVariable { continue }
                append("<*>".utf8, to: &out)
            } else {
                append(line[token.range.lowerBound..<token.fixedEnd], to: &out)
                if isKey { out += "<*>".utf8 }
            }
            lastWasVariable = word == 0
        }
        return out.isEmpty ? "(empty lines)" : String(decoding: out.prefix(maximumText), as: UTF8.self)
    }

    private static func append(_ bytes: some Sequence<UInt8>, to out: inout [UInt8]) {
        if !out.isEmpty { out.append(0x20) }
        out += bytes
    }
}
