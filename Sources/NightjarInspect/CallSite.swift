import CNightjarLinux

/// Two places in the target's own code that an injected system call needs: `syscall; ret`, and the C library's return
/// from a signal handler (`mov $15, %rax; syscall`), which every glibc has.
enum CallSite {
    static let call: [UInt8] = [0x0f, 0x05, 0xc3]
    static let sigreturn: [UInt8] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
    private static let piece = 1 << 16

    /// Nil where they cannot be found.
    static func find(_ map: TargetMap, _ memory: any TargetMemory) -> nj_call_site? {
        var site = nj_call_site()
        let code = map.regions.filter { $0.executable && $0.readable && !$0.anonymous && $0.fileOffset < 1 << 40 }
        let first = code.filter(isLibrary)
        for region in first + code.filter({ !isLibrary($0) }) {
            search(region, memory, &site)
            if site.call != 0, site.sigreturn != 0 { return site }
        }
        return nil
    }

    private static func isLibrary(_ region: TargetRegion) -> Bool {
        region.path.split(separator: "/").last?.hasPrefix("libc.so") ?? false
            || region.path.split(separator: "/").last?.hasPrefix("libc-2") ?? false
    }

    private static func search(_ region: TargetRegion, _ memory: any TargetMemory, _ site: inout nj_call_site) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
        defer { buffer.deallocate() }
        var at = region.start
        while at < region.end, site.call == 0 || site.sigreturn == 0 {
            let want = Int(min(UInt64(piece), region.end - at))
            let got = memory.read(at, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<want]))
            if got < sigreturn.count { return }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<got])
            if site.call == 0, let place = find(call, bytes) { site.call = at + UInt64(place) }
            if site.sigreturn == 0, let place = find(sigreturn, bytes) { site.sigreturn = at + UInt64(place) }
            at += UInt64(got < want || at + UInt64(got) >= region.end ? got : got - sigreturn.count)
        }
    }

    private static func find(_ wanted: [UInt8], _ bytes: UnsafeRawBufferPointer) -> Int? {
        let place = nj_find_bytes(bytes.baseAddress, bytes.count, wanted, wanted.count)
        return place < 0 ? nil : Int(place)
    }
}
