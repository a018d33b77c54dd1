#!/usr/bin/env bash
# Proves that who embeds one product of Nightjar clones, builds and links nothing else: Tests/Consumers/run.sh [NAME…]
#
# Each folder here is a service of its own. It takes this checkout as a versioned git dependency, as a user would take it
# from its URL, with the traits it needs. Checked: what is cloned, what is built, what is linked, and that it runs, also
# where the headers of zlib and zstd are not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d /tmp/nightjar-consumers.XXXXXX)
trap 'rm -rf "$work"' EXIT
version=1.0.0

die() {
    echo "consumers: $*" >&2
    exit 1
}

# The files of the checkout as they are now, committed or not, as a repository with one tagged version.
git -c init.defaultBranch=main init -q "$work/nightjar"
(cd "$root" && git ls-files -z --cached --others --exclude-standard) \
    | (cd "$root" && xargs -0 ls -d 2>/dev/null | tar -cf - -T -) | tar -xf - -C "$work/nightjar"
git -C "$work/nightjar" add -A
git -C "$work/nightjar" -c user.name=test -c user.email=test@localhost commit -q -m "as it is"
git -C "$work/nightjar" tag "$version"

# consumer NAME "PACKAGES IT MAY CLONE" ROOMS: builds it, checks the clones and that none of ROOMS (a pattern) was built;
# leaves its binary in $binary.
consumer() {
    local name=$1 allowed=$2 unwanted=$3
    cp -r "$here/$name" "$work/$name"
    sed -e "s|@NIGHTJAR@|file://$work/nightjar|" -e "s|@VERSION@|$version|" \
        "$work/$name/Package.swift.in" >"$work/$name/Package.swift"
    (cd "$work/$name" && swift build 2>&1) >"$work/$name.log" || {
        cat "$work/$name.log"
        die "$name does not build"
    }
    local cloned
    cloned=$(ls "$work/$name/.build/checkouts" | sort | tr '\n' ' ')
    [ "$cloned" = "$allowed " ] || die "$name cloned '$cloned', expected '$allowed'"
    # The build plan makes a folder for every room; objects only for what is built.
    local built
    built=$(find "$work/$name"/.build/*/debug/ -name '*.o' | sed -n 's|.*/debug/\([A-Za-z_-]*\)\.build/.*|\1|p' | sort -u)
    if grep -E "^(NightjarAgent|NightjarSources|NightjarModel|NIO[A-Za-z]*|CNightjarSystemd|CSQLite|$unwanted)\$" <<<"$built"; then
        die "$name built rooms that it has no use for"
    fi
    binary="$work/$name/.build/debug/$name"
}

log_file_only() {
    consumer LogFileOnly "nightjar swift-log" NightjarProbe
    if ldd "$binary" | grep -E 'libz\.|libzstd|libsystemd|libsqlite3|Foundation'; then
        die "LogFileOnly links more than it needs"
    fi
    # It needs the headers of neither library; what it cannot load at run time it does without.
    if grep -rE '#include <(zlib|zstd)\.h>' "$root/Sources/CZlib" "$root/Sources/CZstd"; then
        die "the shims want headers of zlib or zstd"
    fi
    local said
    said=$("$binary" "$work/log/consumer.log")
    [ "$said" = "produced 2001 kept 2001 dropped 0" ] || die "LogFileOnly said '$said'"
    local lines
    lines=$({ cat "$work"/log/consumer.log "$work"/log/consumer.log.?????? 2>/dev/null
        for packed in "$work"/log/consumer.log.*.gz; do [ ! -e "$packed" ] || zcat "$packed"; done
        for packed in "$work"/log/consumer.log.*.zst; do [ ! -e "$packed" ] || zstdcat "$packed"; done; } | grep -c '"line ')
    [ "$lines" = 2000 ] || die "LogFileOnly wrote $lines of 2000 lines"
    [ "$(grep -c '"the end"' "$work/log/consumer-error.log")" = 1 ] || die "LogFileOnly wrote no error file"
    echo "consumers: LogFileOnly cloned nightjar and swift-log, built, linked and ran"
}

probe_only() {
    consumer ProbeOnly "nightjar" 'NightjarLogFile|Logging'
    if ldd "$binary" | grep -E 'Foundation|libsystemd|libsqlite3|libz\.|libzstd'; then
        die "ProbeOnly links more than it needs"
    fi
    local said
    said=$(NIGHTJAR_SOCKET=/nonexistent "$binary" 2>&1)
    grep -E 'stalled [0-9]+ ms, sleeping \(clock_nanosleep\): ProbeOnly\.heldUpOnPurpose\(\)' <<<"$said" >/dev/null ||
        die "ProbeOnly did not name its stall: '$said'"
    said=$(NIGHTJAR_PROBE=off "$binary" 2>&1)
    grep -x 'off' <<<"$said" >/dev/null || die "ProbeOnly switched off said '$said'"
    echo "consumers: ProbeOnly cloned nightjar alone, built, linked and named its stall"
    probe_weight --scratch-path .build
    probe_weight --static-swift-stdlib --scratch-path .build-static
}

# probe_weight FLAG…: what a release executable needs and weighs with the probe and without it. Its libraries may be those of
# the Swift runtime alone, and its size may grow by two megabytes at most: statically linked, more of the runtime is its own.
probe_weight() {
    local folder=$work/ProbeOnly bin needed added how=dynamic
    case " $* " in *static*) how=static ;; esac
    (cd "$folder" && swift build -c release "$@" 2>&1) >"$folder.log" || { cat "$folder.log"; die "ProbeOnly does not build for release"; }
    bin=$(cd "$folder" && swift build -c release "$@" --show-bin-path)
    needed=$(comm -13 <(libraries "$bin/WithoutProbe") <(libraries "$bin/ProbeOnly") | tr '\n' ' ')
    [ -z "$(tr ' ' '\n' <<<"$needed" | grep -vE '^(ld-linux[-a-z0-9_]*\.so\.[0-9]|libswift(Core|Synchronization|_Concurrency|Glibc|Dispatch|_StringProcessing|_Builtin_float)\.so)?$')" ] ||
        die "the probe brings libraries ($how): $needed"
    strip -o "$folder/with" "$bin/ProbeOnly"
    strip -o "$folder/without" "$bin/WithoutProbe"
    added=$(($(stat -c %s "$folder/with") - $(stat -c %s "$folder/without")))
    [ "$added" -lt $((2 << 20)) ] || die "the probe adds $added bytes to a stripped executable ($how)"
    printf 'consumers: the probe adds %d KiB, stripped (%d KiB as built), to a %s executable of %d KiB; libraries: %s\n' \
        $((added >> 10)) $((($(stat -c %s "$bin/ProbeOnly") - $(stat -c %s "$bin/WithoutProbe")) >> 10)) "$how" \
        $(($(stat -c %s "$folder/without") >> 10)) "${needed:-none}"
}

libraries() { objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' | sort; }

if [ $# -eq 0 ]; then set -- LogFileOnly ProbeOnly; fi
for name in "$@"; do
    case $name in
    LogFileOnly) log_file_only ;;
    ProbeOnly) probe_only ;;
    *) die "no consumer '$name'" ;;
    esac
done
