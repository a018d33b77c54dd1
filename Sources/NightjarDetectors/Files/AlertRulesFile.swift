// Alert rules for Prometheus, one a detector. Nightjar has decided already (held, damped, silenced, inhibited), so a
// rule only passes on what fires: `for:` would add a delay and nothing else.

import NightjarModel

enum AlertRulesFile {
    static func text(_ cards: [DetectorCard]) -> String {
        var text = """
            # Alert rules for Prometheus. Written from the detector cards.
            # Each detector's alert carries the labels of Nightjar's own: id, subject, unit, severity, verdict.
            groups:
              - name: nightjar
                rules:

            """
        for card in cards { text += rule(card) }
        return text + own
    }

    private static func rule(_ card: DetectorCard) -> String {
        """
              - alert: \(card.name)
                expr: nightjar_alert_info{detector="\(card.name)",state="firing"} == 1
                annotations:
                  summary: '{{ $labels.subject }} on {{ $labels.instance }}: {{ $labels.verdict }}'
                  description: '\(quoted(card.name + " catches " + card.catches)). On that host: nightjar show {{ $labels.id }}'
                  runbook: 'nightjar explain \(card.name)'

        """
    }

    /// Within single quotes YAML knows one escape, the doubled quote; Prometheus reads `{{` as a template.
    private static func quoted(_ text: String) -> String {
        text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    }

    /// Who watches the watcher.
    private static let own = """
          - name: nightjar-agent
            rules:
              - alert: NightjarAbsent
                expr: absent(nightjar_build_info)
                for: 5m
                labels:
                  severity: warning
                annotations:
                  summary: 'no Nightjar agent is scraped'
                  description: 'Nobody watches the services of these hosts. On a host: systemctl status nightjard'
              - alert: NightjarLate
                expr: increase(nightjar_rounds_late_total[15m]) > 90
                for: 15m
                labels:
                  severity: notice
                annotations:
                  summary: 'Nightjar on {{ $labels.instance }} is late every tenth round'
                  description: 'The host is overloaded or the agent has too little CPU. On that host: nightjar doctor'
              - alert: NightjarErrors
                expr: sum by (instance, job, room, code) (increase(nightjar_errors_total[1h])) > 1000
                for: 1h
                labels:
                  severity: notice
                annotations:
                  summary: 'Nightjar on {{ $labels.instance }} cannot read much: {{ $labels.room }}, {{ $labels.code }}'
                  description: 'What it cannot read it cannot watch. On that host: nightjar doctor'

        """
}
