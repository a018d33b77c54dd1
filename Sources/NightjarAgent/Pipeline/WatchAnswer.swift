public import NightjarModel

/// One detector's answer about one subject, on its way from the detectors to the alert book.
public struct WatchAnswer: Hashable, Sendable {
    public var detector: String
    public var subject: Subject
    public var answer: Answer

    public init(detector: String, subject: Subject, answer: Answer) {
        self.detector = detector
        self.subject = subject
        self.answer = answer
    }
}
