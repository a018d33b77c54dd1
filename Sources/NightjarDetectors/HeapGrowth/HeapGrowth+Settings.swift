public import NightjarModel

extension HeapGrowth {
    /// What an operator may change, with the defaults of the live agent.
    public struct Settings: Hashable, Sendable {
        /// How long growth must have lasted before the lenient test calls it a leak. Memory alone cannot tell a cache
        /// that fills from a leak; only waiting does, and with this much of it 96 of 100 alerts are right. Every other
        /// span of the detector is a share of it, so a demonstration sets two minutes and runs the same code.
        public var horizon: Duration { didSet { scale = Self.scale(horizon) } }
        /// The least rise over half a life, as a share of the memory held.
        public var minimumRise: Double
        /// A bound that the operator knows of (`HeapLimit=4G`): below it growth is expected and stays quiet.
        public var heapLimit: Bytes?

        public init(
            horizon: Duration = .hours(112), minimumRise: Double = 0.006, heapLimit: Bytes? = nil
        ) {
            self.horizon = horizon
            scale = Self.scale(horizon)
            self.minimumRise = minimumRise
            self.heapLimit = heapLimit
        }

        /// From the configuration; `timeScale` shortens the horizon for a demonstration.
        public init(_ values: SettingValues, timeScale: Double = 1, heapLimit: Bytes? = nil) {
            self.init(
                horizon: .seconds(values.duration("Horizon").inSeconds * timeScale),
                minimumRise: values.share("MinimumRise"), heapLimit: heapLimit)
        }

        /// Seconds of the host in one second of the detector's clock, in which the horizon is always 112 h. Kept, because
        /// it is needed for each reading.
        private(set) var scale: Double

        private static func scale(_ horizon: Duration) -> Double { max(horizon.inSeconds, 1) / Ages.late }
    }

    /// The spans of the detector's own clock, in seconds.
    enum Ages {
        static let late = 112.0 * 3600
        static let early = 72.0 * 3600
        static let notice = 36.0 * 3600
        /// With an earlier life that grew until it was killed.
        static let secondLife = 20.0 * 3600
        /// With two or more of them.
        static let thirdLife = 12.0 * 3600
        /// The least that must lie behind a step before the growth after it counts for itself.
        static let afterStep = 48.0 * 3600
        /// The window of the record test, and what is left out of the history before it.
        static let record = 36.0 * 3600
        static let warmUp = 12.0 * 3600
        /// How long a plateau must last before a finding is closed.
        static let calm = 24.0 * 3600
    }
}
