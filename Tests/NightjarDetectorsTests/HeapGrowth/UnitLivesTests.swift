import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarDetectors

@Suite("HeapGrowth over earlier lives") struct UnitLivesTests {
    /// Lives one after the other, each as the agent would lead it; what each came to.
    private func lead(
        _ count: Int, hours: Double, end: LifeEnd, _ mebibytes: @escaping (Double, inout SplitMix) -> Double
    ) -> (outcomes: [Outcome], lives: UnitLives) {
        var lives = UnitLives()
        var outcomes: [Outcome] = []
        for index in 0..<count {
            var growth = HeapGrowth(prior: lives.prior)
            var outcome = Outcome()
            let start = Double(index) * hours * 3600
            for sample in History(hours / 24, mebibytes).samples(startingAt: start) {
                outcome.note(growth.step(sample), at: sample.time.seconds - start)
            }
            lives.append(growth.life(ended: end, at: Moment(seconds: start + hours * 3600)))
            outcomes.append(outcome)
        }
        return (outcomes, lives)
    }

    @Test func `a service that is killed for memory every 60 h is a leak in its second life`() {
        let (outcomes, _) = lead(3, hours: 60, end: .killedForMemory) { t, random in
            150 + 350 * t / (60 * 3600) + 10 * load(t) + random.normal()
        }
        #expect(outcomes[0].worst == .growing)
        #expect(outcomes[1].worst == .leak)
        #expect(outcomes[1].leakDay! <= 1.5)
        #expect(outcomes[2].worst == .leak)
        #expect(outcomes[2].leakDay! <= 1)
    }

    @Test func `a service that leaks and is restarted every night is a leak in its fourth life`() {
        let (outcomes, _) = lead(6, hours: 24, end: .exited) { t, random in 150 + 200 * t / oneDay + random.normal() }
        #expect(outcomes.prefix(3).allSatisfy { $0.worst < .leak })
        #expect(outcomes[5].worst == .leak)
    }

    @Test func `a cache that filled to the same level before stays quiet when it fills again`() {
        let fill = { (t: Double, random: inout SplitMix) in
            200 + 1000 * (1 - exp(-t / (1.2 * oneDay))) + 2 * random.normal()
        }
        let (outcomes, lives) = lead(3, hours: 8 * 24, end: .exited, fill)
        #expect(lives.lives.map(\.shape) == [.level, .level, .level])
        #expect(!outcomes[0].isQuiet)
        #expect(outcomes[1].isQuiet && outcomes[2].isQuiet)
    }

    @Test func `growth beyond the level of earlier lives is news`() {
        let (_, lives) = lead(1, hours: 8 * 24, end: .exited) { t, _ in 200 + 100 * (1 - exp(-t / (0.5 * oneDay))) }
        let history = History(8) { t, _ in 200 + 60 * t / oneDay }
        #expect(history.outcome(prior: lives.prior).worst == .leak)
    }

    @Test func `an OOM kill of a life that was level is no leak`() {
        let (outcomes, lives) = lead(4, hours: 60, end: .killedForMemory) { _, random in 500 + random.normal() }
        #expect(outcomes.allSatisfy { $0.isQuiet })
        #expect(lives.prior.livesThatGrew == 0)
    }

    @Test func `a version that levels off clears the memory of those that did not`() {
        var (_, lives) = lead(2, hours: 60, end: .killedForMemory) { t, _ in 150 + 350 * t / (60 * 3600) }
        #expect(lives.prior.livesThatGrew == 2)
        lives.append(
            Life(
                endedAt: Moment(seconds: 1e6), lived: .days(5), floorFrom: .mebi(200), floorTo: .mebi(210),
                shape: .level, end: .exited))
        #expect(lives.prior.livesThatGrew == 0)
    }

    @Test func `eight lives are kept, and those of minutes are left out`() {
        var lives = UnitLives()
        for index in 0..<30 {
            lives.append(
                Life(
                    endedAt: Moment(seconds: Double(index)), lived: .hours(index % 2 == 0 ? 5 : 0.2),
                    floorFrom: .mebi(1),
                    floorTo: .mebi(2), shape: .rising, end: .exited))
        }
        #expect(lives.lives.count == 8)
        #expect(lives.lives.allSatisfy { $0.lived == .hours(5) })
    }
}
