import NightjarModel

// What `nightjar doctor` hears of the parts beside the processes: which run, what each sees, and what keeps it from more.

extension Watches {
    /// One line a part, and one for each thing that it cannot see.
    func checks(_ config: Config) -> [DoctorReport.Check] {
        diskChecks(config) + logChecks(config) + probeChecks(config) + [censusCheck]
    }

    private func diskChecks(_ config: Config) -> [DoctorReport.Check] {
        guard let snapshot = diskSnapshot else { return [Self.off("disks", "Disks", config)] }
        let silent = snapshot.rows.compactMap { row in
            row.silentFor.map { silence in
                DoctorReport.Check(
                    .limited, "disks", "\(row.mountPoint) has not answered for \(silence.spoken); a dead mount?")
            }
        }
        return [.init(.good, "disks", Self.count(snapshot.rows.count, "file system"))] + silent
            + snapshot.notes.map { .init(.limited, "disks", $0) }
    }

    private func logChecks(_ config: Config) -> [DoctorReport.Check] {
        guard let snapshot = logSnapshot else { return [Self.off("logs", "Logs", config)] }
        let files = snapshot.rows.filter(\.isFile).count
        let units = snapshot.rows.count - files
        let journal = config.flag("Logs", "Journal") ? ", \(Self.count(units, "unit")) in the journal" : ""
        return [.init(.good, "logs", Self.count(files, "file") + journal)]
            + snapshot.notes.map { .init(.limited, "logs", $0) }
    }

    private func probeChecks(_ config: Config) -> [DoctorReport.Check] {
        guard let snapshot = probeSnapshot else {
            // Why it cannot listen is among the limitations.
            return config.flag("Probe", "Enabled") ? [] : [Self.off("probes", "Probe", config)]
        }
        guard !snapshot.services.isEmpty else {
            return [.init(.good, "probes", "listening; no service has the probe yet")]
        }
        let names = Set(snapshot.services.map(\.name)).sorted()
        let more = names.count > 5 ? " and \(names.count - 5) more" : ""
        return [.init(.good, "probes", names.prefix(5).joined(separator: ", ") + more)]
    }

    private static func off(_ subject: String, _ section: String, _ config: Config) -> DoctorReport.Check {
        let origin = config.value(section, "Enabled").origin.map { " (\($0))" } ?? ""
        return .init(.limited, subject, "not watched: [\(section)] Enabled=no\(origin)")
    }

    private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

extension Config {
    /// What this configuration was read from, and whether what stands there now would be taken at the next reload.
    func checks(fallback path: String) -> [DoctorReport.Check] {
        let now = Config(path: self.path ?? path, mustExist: self.path != nil)
        guard now.problems.isEmpty else {
            return now.problems.map { .init(.bad, "config", "\($0) (mend it before the next reload)") }
        }
        let read = files.isEmpty ? "no file, defaults apply" : files.joined(separator: ", ")
        let isStale = now.effectiveText != effectiveText
        return [
            isStale
                ? .init(.limited, "config", "\(read): changed since it was read; systemctl reload nightjard")
                : .init(.good, "config", read)
        ]
    }
}
