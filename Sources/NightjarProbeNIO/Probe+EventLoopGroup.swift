// Watches SwiftNIO's event loops. Loops that sit in epoll_wait are seen to be idle from outside and are never woken.

#if NIO
    public import NIOCore
    public import NightjarProbe

    extension Probe {
        /// Watches every loop of the group, as `name 0`, `name 1`, …; also `.singletonMultiThreadedEventLoopGroup`.
        ///
        /// Loops of a group that was shut down leave by themselves.
        public func watch(_ group: any EventLoopGroup, name: String = "event loop") {
            for (index, loop) in group.makeIterator().enumerated() {
                watch(name: "\(name) \(index)", waitsForEvents: true) { job in loop.execute(job) }
            }
        }
    }
#endif
