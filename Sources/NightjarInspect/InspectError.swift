/// Why a census, a leak search or a retaining chain could not be had: a code, and one sentence for the operator.
public struct InspectError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of obstacle it was.
    public struct Code: Hashable, Sendable {
        var word: String
        /// No such process, or it ended while it was read.
        public static let gone = Code(word: "gone")
        /// The kernel refuses to show its memory to us.
        public static let notPermitted = Code(word: "not_permitted")
        /// Its heap is not glibc's: another allocator, another libc, or none yet.
        public static let otherAllocator = Code(word: "other_allocator")
        /// No block in it carries a Swift type.
        public static let notSwift = Code(word: "not_swift")
        /// One of our own limits was met: memory, time or bytes read.
        public static let overBudget = Code(word: "over_budget")
        /// It became another program (exec) while it was read.
        public static let replaced = Code(word: "replaced")
        /// Another process writes to its memory: the child of a vfork, mostly.
        public static let sharedMemory = Code(word: "shared_memory")
        /// Part of its memory is kept from copies of it.
        static let keptMemory = Code(word: "kept_memory")
        /// A type that was asked for is not on its heap.
        public static let noSuchType = Code(word: "no_such_type")
        /// A recorded image or a file of the kernel does not have the form it should have.
        public static let malformed = Code(word: "malformed")
    }

    public var code: Code
    /// What is wrong and what to do, one line, no full stop.
    public var sentence: String

    public init(_ code: Code, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }

    public var description: String { sentence }
}
