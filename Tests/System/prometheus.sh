#!/bin/bash
# A real Prometheus scrapes the real agent: the page is clean, its size is bounded, every rule loads, every expression of
# every dashboard can be evaluated on scraped data, and a leak becomes a firing alert in Prometheus.
# usage: prometheus.sh BIN_DIR      (root, for a network of its own; BIN_DIR holds nightjard and the others)
# Measured: about 50 s, most of it the leak being a leak.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need_root
need prometheus:prometheus promtool:prometheus ip:iproute2 curl:curl python3:python3
BIN=$(programs_in "${1:?usage: prometheus.sh BIN_DIR}")
SRC=$(readlink -f "$HERE/../..")
if [ "${_NJ_IN_NET:-}" != 1 ]; then exec env _NJ_IN_NET=1 unshare --net --kill-child -- "$0" "$BIN"; fi
ip link set lo up
W=$(mktemp -d)
stop() {
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$W"
}
trap stop EXIT
passed=0
ok() { passed=$((passed + 1)); printf 'ok %2d  %s\n' "$passed" "$1"; }

promtool check rules "$SRC/Dashboards/nightjar.rules.yml" >"$W/rules" 2>&1 || { cat "$W/rules"; die "promtool check rules"; }
ok "promtool check rules: $(grep -o '[0-9]* rules found' "$W/rules")"

mkdir -p "$W"/{run,state,logs,data}
printf '[HTTP]\nListen=127.0.0.1:9477\nSocket=%s/run/api.sock\n[Probe]\nSocket=%s/run/probe.sock\n' "$W" "$W" >"$W/nightjar.conf"
env RUNTIME_DIRECTORY="$W/run" STATE_DIRECTORY="$W/state" LOGS_DIRECTORY="$W/logs" \
    "$BIN/nightjard" --config "$W/nightjar.conf" >"$W/agent.log" 2>&1 &
page() { curl -sf http://127.0.0.1:9477/metrics; }
wait_for 20 "the agent's page" page || { cat "$W/agent.log"; exit 1; }
page | promtool check metrics >"$W/lint" 2>&1 || { cat "$W/lint"; die "promtool check metrics"; }
[ ! -s "$W/lint" ] || { cat "$W/lint"; die "promtool has remarks"; }
series=$(page | grep -vc '^#'); size=$(page | wc -c)
[ "$series" -le 200 ] && [ "$size" -le 32768 ] || die "the page has $series series and $size bytes; 200 and 32 KiB are allowed"
ok "promtool check metrics is silent; $series series, $size bytes"
curl -sf -H 'Accept: application/openmetrics-text; version=1.0.0' http://127.0.0.1:9477/metrics | tail -n 1 | grep -x '# EOF' >/dev/null ||
    die "no OpenMetrics page"
ok "OpenMetrics where it is asked for"
curl -sf http://127.0.0.1:9477/ | grep -F '<title>' >/dev/null || die "no page at /"
[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST 'http://127.0.0.1:9477/api/v1/alerts/x/silence?for=1h')" = 403 ] || die "changes are taken over TCP"
ok "the page at / answers, and changes are refused over TCP"

cat >"$W/prometheus.yml" <<C
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ $SRC/Dashboards/nightjar.rules.yml ]
scrape_configs: [ { job_name: nightjar, static_configs: [ { targets: [ '127.0.0.1:9477' ] } ] } ]
C
prometheus --config.file="$W/prometheus.yml" --storage.tsdb.path="$W/data" --web.listen-address=127.0.0.1:9090 >"$W/prometheus.log" 2>&1 &
ready() { curl -sf http://127.0.0.1:9090/-/ready; }
wait_for 30 "Prometheus" ready || { cat "$W/prometheus.log"; exit 1; }

env PATH="$BIN:$PATH" nightjar drill leak --socket "$W/run/api.sock" >"$W/drill" 2>&1 &
drill=$!
fires() { curl -sf 'http://127.0.0.1:9090/api/v1/alerts' | grep -F '"alertname":"HeapGrowth"' | grep -F '"state":"firing"' >/dev/null; }
wait_for 150 "HeapGrowth firing in Prometheus" fires || { cat "$W/agent.log" "$W/drill"; exit 1; }
ok "the leak is a firing alert in Prometheus"

python3 - "$SRC/Dashboards" <<'P' || die "a dashboard does not work on scraped data"
import glob, json, sys, urllib.parse, urllib.request
failed, empty, count = [], [], 0
for path in sorted(glob.glob(sys.argv[1] + "/*.json")):
    dashboard = json.load(open(path))
    expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    assert expressions, f"{path}: no panel has an expression"
    for expression in expressions:
        text = expression.replace("$__rate_interval", "10s").replace("$__interval", "10s").replace("$__range", "1m")
        for variable in ("$unit", "$process", "$instance", "$job"):
            text = text.replace(variable, ".*")
        url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            answer = json.load(urllib.request.urlopen(url))
            count += 1
            if not answer["data"]["result"]:
                empty.append((path.split("/")[-1], expression))
        except Exception as error:
            failed.append((path, expression, error))
for row in failed:
    print("cannot be evaluated:", *row)
general = [row for row in empty if row[0] in ("Overview.json", "HeapGrowth.json")]
for row in general:
    print("no data while a leak is under way:", *row)
print(f"{count} expressions evaluated, {len(empty)} rightly empty while their incident does not run")
sys.exit(1 if failed or [row for row in empty if row[0] == "HeapGrowth.json"] else 0)
P
ok "every dashboard's expressions work on scraped data"
wait "$drill" || { cat "$W/drill"; die "the drill failed"; }
printf '%d passed, 0 failed\n' "$passed"
