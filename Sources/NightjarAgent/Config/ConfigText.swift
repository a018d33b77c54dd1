public import NightjarModel

// The configuration as text: the commented default file and what `nightjar config` prints.

extension Config {
    /// The default file: every setting commented out, with its default and its sentence of help.
    public static var defaultFile: String {
        var text = """
            # Nightjar, the agent. Every setting stands here with its default; uncomment to change.
            # Better: put changes into nightjar.conf.d/NAME.conf, which a new version never touches.
            # Check with: nightjar config --check. Apply with: systemctl reload nightjard.
            # Spans: 500ms 30s 5min 1h 2d. Sizes: 64M 4G, to the base of 1024. Shares: 95%. Flags: yes, no.

            """
        var section = ""
        for spec in ConfigTable.all {
            if spec.section != section {
                section = spec.section
                text += "\n[\(section)]\n"
            }
            text += "# \(spec.help)\n#\(spec.key)=\(spec.defaultText)\n"
        }
        text += """

            # For one subject, the first thing needed after a false alarm. Patterns are globs; the last match wins.
            # [Unit postgresql*.service]   all processes of a unit
            # [Process redis-server]       processes of a name
            # [Mount /data]                a file system
            # [Log /var/log/app.log]       a log file
            #
            # HeapLimit=4G                 a known bound: growth below it is no leak
            # HeapGrowth=no                one detector off
            # Severity=notice              at most this severe
            # Contact=payments team        shown in the alert, handed to the hook

            """
        return text
    }

    /// Effective values as a file: what differs from its default first in each line's comment.
    public var effectiveText: String {
        var text = ""
        var section = ""
        for (spec, value) in effective {
            if spec.section != section {
                text += section.isEmpty ? "" : "\n"
                section = spec.section
                text += "[\(section)]\n"
            }
            let line = "\(spec.key)=\(value.text)"
            text += line + String(repeating: " ", count: max(1, 36 - line.count)) + "# \(value.place)\n"
        }
        for subject in subjects {
            text += "\n[\(subject.kind) \(subject.pattern)]\n"
            for assignment in subject.values {
                let line = "\(assignment.key)=\(assignment.value)"
                text += line + String(repeating: " ", count: max(1, 36 - line.count)) + "# \(assignment.origin)\n"
            }
        }
        return text
    }

    /// The same as JSON.
    public var effectiveJSON: JSON {
        .object([
            ("files", .array(files.map(JSON.string))),
            (
                "settings",
                .array(
                    effective.map { spec, value in
                        .object([
                            ("section", .string(spec.section)), ("key", .string(spec.key)),
                            ("value", .string(value.text)), ("default", .string(spec.defaultText)),
                            ("origin", .optional(value.origin?.description)), ("help", .string(spec.help)),
                        ])
                    })
            ),
            (
                "subjects",
                .array(
                    subjects.map { section in
                        .object([
                            ("section", .string(section.kind)), ("pattern", .string(section.pattern)),
                            (
                                "values",
                                .object(section.values.map { ($0.key, .string($0.value)) })
                            ),
                        ])
                    })
            ),
        ])
    }
}

extension Config.Value {
    var place: String { origin.map(\.description) ?? "default" }
}
