internal import CNightjarTestKit

/// Runs `body` as another user without capabilities, in a thread of its own: the rest of the test process stays root.
///
/// - Returns: nil where we are not root.
public func asOtherUser<Result>(_ uid: UInt32 = 65534, _ body: () -> Result) -> Result? {
    var result: Result?
    withoutActuallyEscaping(body) { body in
        var errand: () -> Void = { result = body() }
        withUnsafeMutablePointer(to: &errand) { pointer in
            _ = njt_as_user(uid, { $0!.assumingMemoryBound(to: (() -> Void).self).pointee() }, pointer)
        }
    }
    return result
}
