import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSinks

@Suite("Mail") struct MailTests {
    let bench: Workbench

    init() throws { bench = try Workbench() }

    /// Stands where sendmail stands: keeps arguments and message as they come.
    func sendmail(_ before: String = "") throws -> String {
        try bench.script(
            "sendmail", "\(before)\nprintf '%s\\n' \"$@\" >>\"$HERE/args\"; cat >>\"$HERE/mail\"; echo >>\"$HERE/mail\""
        )
    }

    func sink(
        to: [String] = ["ops@example.org"], program: String, limit: Duration = .seconds(20), perHour: Int = 30
    ) -> MailSink {
        MailSink(
            MailSink.Settings(
                to: to, from: "nightjar@web1.example.org", host: "web1.example.org", program: program, timeLimit: limit,
                perHour: perHour))
    }

    @Test func `an alert's mail, whole`() throws {
        let sink = sink(program: "/bin/false")
        let mail = sink.message(.open(alert(severity: .critical)), heldBack: 0, at: night)
        try expectGolden(mail.text, "mail.txt")
    }

    @Test func `its end answers its beginning, so that they are one thread`() throws {
        let sink = sink(program: "/bin/false")
        let open = sink.message(.open(alert()), heldBack: 0, at: night)
        let end = sink.message(.resolve(alert(.resolved)), heldBack: 3, at: night)
        #expect(end.inReplyTo == open.messageID)
        #expect(end.messageID != open.messageID)
        #expect(end.subject.contains("resolved after 4 min"))
        #expect(end.body.contains("3 earlier mails were held back"))
    }

    @Test func `sendmail gets the recipients as arguments and the message as input`() throws {
        let sink = sink(to: ["ops@example.org", "root"], program: try sendmail())
        #expect(sink.deliver(.open(alert(contact: "shop@example.org")), at: night) == .queued)
        sink.finish(within: .seconds(20))
        #expect(sink.counters.delivered == 1)
        #expect(
            bench.content("args").split(separator: "\n") == [
                "-i", "-f", "nightjar@web1.example.org", "--", "ops@example.org", "root", "shop@example.org",
            ])
        #expect(bench.content("mail").contains("To: ops@example.org, root, shop@example.org\n"))
    }

    @Test func `less than a warning is no mail, and what was not told is not ended either`() throws {
        let sink = sink(program: try sendmail())
        #expect(sink.deliver(.open(alert(severity: .notice)), at: night) == .notWanted)
        #expect(sink.deliver(.resolve(alert(.resolved, severity: .notice)), at: night) == .notWanted)
    }

    @Test func `no name can add a header or a recipient`() throws {
        let evil = "x\r\nBcc: victim@example.org\n\nbody"
        let sink = sink(program: "/bin/false")
        let mail = sink.message(
            .open(alert(name: evil, unit: evil, sentence: evil, contact: "a@b\nBcc: c@d")), heldBack: 0, at: night)
        let head = mail.text.components(separatedBy: "\n\n")[0]
        #expect(!head.split(separator: "\n").contains { $0.lowercased().hasPrefix("bcc") })
        #expect(mail.to == ["ops@example.org"])
        var random = SplitMix(seed: 21)
        for _ in 0..<500 {
            let text = random.hostileText()
            let mail = sink.message(
                .open(alert(name: text, unit: text, sentence: text, contact: text)), heldBack: 0, at: night)
            let head = mail.text.components(separatedBy: "\n\n")[0].split(
                separator: "\n", omittingEmptySubsequences: false)
            for line in head {
                #expect(line.hasPrefix(" ") || line.wholeMatch(of: /[A-Za-z-]+:( .*)?/) != nil, "\(line)")
                #expect(line.utf8.count <= 78 || !line.contains(" "), "\(line)")
            }
            for line in mail.text.split(separator: "\n", omittingEmptySubsequences: false) {
                #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
            }
        }
    }

    @Test func `an encoded subject and body come back as they were, by another's decoder`() throws {
        let sink = sink(program: "/bin/false")
        let mail = sink.message(
            .open(alert(name: "zahlungen-für-日本", sentence: "floor 96 → 132 MiB = much\n.\nFrom x ")), heldBack: 0,
            at: night)
        try Data(mail.text.utf8).write(to: bench.folder.appending(path: "in.eml"))
        let python = """
            import email, email.policy, sys
            m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
            assert not m.defects, m.defects
            print(m['Subject']); print(m['Date'].datetime.isoformat()); print(m.get_content(), end='')
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", python, bench.path("in.eml")]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let lines = output.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        #expect(lines[0] == mail.subject[...])
        #expect(lines[1] == "2026-11-26T04:37:05+00:00")
        #expect(lines[2] == mail.body[...])
    }

    @Test(arguments: ["-oQ/tmp", "a b@c", "a@b@c", "", "@", "a\n@b", "x@", "<a@b>", "a,b@c"])
    func `what is no address is refused, and told by the test`(text: String) throws {
        #expect(!MailMessage.isAddress(text))
        let proof = sink(to: [text], program: try sendmail()).prove(at: night)
        guard case .failed(let why) = proof else {
            Issue.record("proved")
            return
        }
        #expect(why.hasPrefix("mail: "))
        #expect(bench.content("args").isEmpty)
    }

    @Test func `the test mail says whether it went`() throws {
        #expect(
            sink(program: try sendmail()).prove(at: night)
                == .proved("\(bench.path("sendmail")) took a test mail to ops@example.org"))
        #expect(bench.content("mail").contains("Subject: [nightjar] web1.example.org: test message\n"))
        let refusing = try bench.script("refusing", "echo 'no route to smarthost'; exit 75")
        #expect(
            sink(program: refusing).prove(at: night)
                == .failed("mail: \(refusing): exit code 75: no route to smarthost\\x0a"))
        #expect(
            sink(program: "/nowhere/sendmail").prove(at: night)
                == .failed("mail: /nowhere/sendmail: cannot start: No such file or directory"))
    }

    @Test func `beyond the limit an hour mails are counted, and the count is mailed`() throws {
        let sink = sink(program: try sendmail(), perHour: 3)
        let results = (0..<10).map { _ in sink.deliver(.open(alert()), at: night) }
        #expect(results.count { $0 == .queued } == 3)
        #expect(results.count { $0 == .heldBack } == 7)
        sink.tick(at: night + .minutes(30))
        sink.tick(at: night + .minutes(61))
        sink.finish(within: .seconds(20))
        #expect(bench.content("mail").contains("7 mails were held back"))
        #expect(sink.counters.delivered == 4)
    }

    @Test func `a date in any year is right`() {
        #expect(MailMessage.date(Moment(seconds: 0)) == "Thu, 1 Jan 1970 00:00:00 +0000")
        #expect(MailMessage.date(Moment(seconds: 951_782_400)) == "Tue, 29 Feb 2000 00:00:00 +0000")
        #expect(MailMessage.date(night) == "Thu, 26 Nov 2026 04:37:05 +0000")
        #expect(MailMessage.date(Moment(seconds: -1)) == "Wed, 31 Dec 1969 23:59:59 +0000")
    }
}
