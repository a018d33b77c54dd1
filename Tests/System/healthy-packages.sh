#!/bin/bash
# Builds well-known Swift packages for healthy-programs.sh: their servers, tools and test runners, in debug.
# usage: healthy-packages.sh FOLDER [OWNER/NAME...]
#   FOLDER holds one clone a package, kept between runs; healthy-programs.sh takes it as --packages FOLDER
#
# About one to three minutes a package on two cores. What cannot be had or built is named and left out.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
FOLDER=$(mkdir -p "${1:?usage: healthy-packages.sh FOLDER [OWNER/NAME...]}" && readlink -f "$1")
shift
need git:git

# owner/name version  what: products, or "tests"
packages='
apple/swift-nio 2.101.2 NIOHTTP1Server NIOEchoServer NIOChatServer NIOWebSocketServer NIOTCPEchoServer NIOUDPEchoServer NIOPerformanceTester
apple/swift-log 1.16.2 tests
apple/swift-metrics 2.13.0 tests
swhitty/FlyingFox 0.27.1 tests
swift-server/swift-service-lifecycle 2.13.0 tests
attaswift/BigInt 6.0.1 tests
HdrHistogram/hdrhistogram-swift 0.2.0 HistogramExample
jpsim/Yams 6.2.2 tests
apple/swift-atomics 1.3.0 tests
apple/swift-algorithms 1.2.1 tests
OpenCombine/OpenCombine 0.14.0 tests
apple/swift-nio-extras 1.35.2 HTTPServerWithQuiescingDemo NIOExtrasPerformanceTester
'
failed=0
while read -r package version what; do
    [ -n "$package" ] || continue
    [ $# = 0 ] || [[ " $* " == *" $package "* ]] || continue
    at=$FOLDER/${package#*/}
    if [ ! -d "$at" ] && ! git -c advice.detachedHead=false clone --quiet --depth 1 --branch "$version" "https://github.com/$package" "$at" </dev/null; then
        echo "$package: cannot be cloned"; failed=1; continue
    fi
    (
        cd "$at"
        if [ "$what" = tests ]; then
            swift build --build-tests
        else
            for product in $what; do swift build --product "$product"; done
        fi
    ) </dev/null >"$FOLDER/${package#*/}.log" 2>&1 || { echo "$package: does not build, see $FOLDER/${package#*/}.log"; failed=1; continue; }
    echo "$package $version: $what"
done <<<"$packages"
exit "$failed"
