// Which service does a process belong to? The kernel knows only a path in a tree of groups; those who make the groups
// write their names into it. From the outside in:
//
//     /system.slice/checkout.service                                      systemd
//     /user.slice/user-1000.slice/user@1000.service/app.slice/sync.service      a user's systemd
//     /user.slice/user-1000.slice/session-3.scope                         a login
//     /system.slice/docker-<64 hex>.scope   /docker/<64 hex>              docker
//     /machine.slice/libpod-<64 hex>.scope                                podman
//     /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<64 hex>.scope
//     /kubepods/burstable/pod<uid>/<64 hex>                               kubernetes, without systemd
//     /machine.slice/systemd-nspawn@box.service/payload/system.slice/x.service       a whole system in a box
//
// The innermost that has a name of its own wins: a container inside a service, a user's service inside user@.service.

/// What a cgroup path says about who lives there.
public struct UnitPlace: Hashable, Sendable {
    /// Who made the group.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case service, scope, slice, userUnit, container, pod, machine, none
    }

    /// Docker, containerd, podman, CRI-O: as they name themselves in their groups.
    public struct Container: Hashable, Sendable {
        /// `docker`, `podman`, `containerd`, `cri-o`.
        public var runtime: String
        /// The first twelve digits, as the runtimes' own tools show them.
        public var id: String
    }

    /// Who made the innermost group that has a name.
    public var kind: Kind = .none
    /// The unit's name for people and for configuration: `checkout.service`, `user@1000.service/sync.service`,
    /// `docker-web`, `pod-checkout-7d9c5b`; before a container has said its name, its id; nil outside any.
    public var name: String?
    /// The container, where it is one or is in one.
    public var container: Container?
    /// The pod's uid, where Kubernetes made the group.
    public var pod: String?
    /// Whose login or user manager it is.
    public var user: UInt32?

    /// Outside any unit.
    public init() {}

    /// - Parameter path: below the root of the tree: `/system.slice/checkout.service`.
    public init(cgroup path: String) {
        var manager: Substring?
        for part in path.split(separator: "/") {
            let part = part.hasPrefix("_") ? part.dropFirst() : part
            if let user = Self.number(in: part, after: "user-", before: ".slice") { self.user = user }
            if let pod = Self.pod(in: part) {
                (kind, name, self.pod) = (.pod, "pod-\(pod)", pod)
            } else if let container = Self.container(in: part, isInPod: pod != nil, below: name) {
                self.container = container
                kind = pod == nil ? .container : .pod
                // A pod keeps its name over restarts of its containers, and so do its alerts.
                if pod == nil { name = "\(container.runtime)-\(container.id)" }
            } else if part.hasSuffix(".service") || part.hasSuffix(".scope"), container == nil, pod == nil {
                place(part, manager)
                if part.hasPrefix("user@") || part.hasPrefix("systemd-nspawn@") { manager = part }
            } else if part.hasSuffix(".slice"), container == nil, pod == nil, kind == .none || kind == .slice {
                (kind, name) = (.slice, String(part))
            }
        }
    }

    /// A container's own host name says more than an id: it is the pod's name, or what `docker run --hostname` was told.
    /// Docker itself takes the id for it, which says nothing new.
    mutating func takeHostName(_ host: String) {
        if pod != nil {
            name = "pod-\(host)"
        } else if let container, !host.hasPrefix(container.id) {
            name = "\(container.runtime)-\(host)"
        }
    }

    private mutating func place(_ part: Substring, _ manager: Substring?) {
        let unit = String(part)
        if let manager {
            kind = manager.hasPrefix("user@") ? .userUnit : .machine
            name = "\(manager)/\(unit)"
        } else {
            kind = part.hasPrefix("machine-") || part.hasPrefix("systemd-nspawn@") ? .machine : .service
            if kind == .service, part.hasSuffix(".scope") { kind = .scope }
            name = unit
        }
    }

    private static func number(in part: Substring, after prefix: String, before suffix: String) -> UInt32? {
        guard part.hasPrefix(prefix), part.hasSuffix(suffix), part.count > prefix.count + suffix.count else {
            return nil
        }
        return UInt32(part.dropFirst(prefix.count).dropLast(suffix.count))
    }

    /// `pod<uid>` or `kubepods-burstable-pod<uid>.slice`, where systemd has turned the dashes into underscores.
    private static func pod(in part: Substring) -> String? {
        let inner = part.hasSuffix(".slice") ? part.dropLast(6) : part
        let uid: Substring
        if inner.hasPrefix("pod") {
            uid = inner.dropFirst(3)
        } else if inner.hasPrefix("kubepods"), let last = inner.split(separator: "-").last, last.hasPrefix("pod") {
            uid = last.dropFirst(3)
        } else {
            return nil
        }
        let dashed = String(uid.map { $0 == "_" ? "-" : $0 })
        guard dashed.count >= 32, dashed.allSatisfy({ $0 == "-" || $0.isHexDigit }) else { return nil }
        return dashed
    }

    /// `docker-<id>.scope`, `cri-containerd-<id>.scope`, `libpod-<id>.scope`, `crio-<id>.scope`, or the bare id.
    private static func container(in part: Substring, isInPod: Bool, below name: String?) -> Container? {
        let inner = part.hasSuffix(".scope") ? part.dropLast(6) : part
        let id = inner.split(separator: "-", omittingEmptySubsequences: false).last ?? inner
        guard id.count == 64, id.allSatisfy(\.isHexDigit) else { return nil }
        let prefix = String(inner.dropLast(id.count).drop { $0 == "-" })
        let runtimes = [
            "docker-": "docker", "libpod-": "podman", "cri-containerd-": "containerd", "crio-": "cri-o",
            "nerdctl-": "containerd", "": isInPod ? "containerd" : "docker",
        ]
        guard let runtime = runtimes[prefix] else { return nil }
        return Container(runtime: runtime, id: String(id.prefix(12)))
    }
}
