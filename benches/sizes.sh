#!/usr/bin/env bash
# What the runtime weighs beside others: the size of an echo server (benches/sizes/), and how long a clean build takes.
#
#     benches/sizes.sh          both tables
#     benches/sizes.sh size     how large an echo server is: opt-level "z", fat LTO, one codegen unit, abort on panic, stripped
#     benches/sizes.sh time     how long a clean build of the dependency takes: median of three interleaved rounds, two jobs
#
# Everything is built in target/sizes, in packages of their own, with the newest versions that the registry has.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=$root/target/sizes
export CARGO_INCREMENTAL=0
unset CARGO_TARGET_DIR

# package <name> <main.rs> <dependency>: writes a package and fetches what it needs.
package() {
    mkdir -p "$target/$1/src"
    cp "$2" "$target/$1/src/main.rs"
    cat >"$target/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.0.0"
edition = "2024"

[dependencies]
$3

[profile.small]
inherits = "release"
opt-level = "z"
lto = "fat"
codegen-units = 1
panic = "abort"
strip = true

[workspace]
TOML
    cargo fetch --quiet --manifest-path "$target/$1/Cargo.toml"
}

ours="gather = { path = \"$root/gather\" }"

size() {
    package empty benches/sizes/empty.rs ""
    package echo-gather benches/sizes/gather.rs "$ours"
    package echo-std benches/sizes/std.rs ""
    package echo-mio benches/sizes/mio.rs 'mio = { version = "1", features = ["os-poll", "net"] }'
    package echo-smol benches/sizes/smol.rs 'smol = "2"'
    package echo-tokio benches/sizes/tokio.rs 'tokio = { version = "1", features = ["rt", "net", "io-util"] }'
    local name bytes empty=0 least=0
    echo "| an echo server on | kB | more than ours | beyond an empty program | times ours |"
    echo "|---|--:|--:|--:|--:|"
    for name in empty echo-gather echo-smol echo-tokio echo-std echo-mio; do
        cargo build --quiet --offline --profile small --manifest-path "$target/$name/Cargo.toml"
        bytes=$(stat -c %s "$target/$name/target/small/$name")
        case $name in
        empty) empty=$bytes && echo "| nothing: \`fn main() {}\` | $((bytes / 1024)) | | | |" && continue ;;
        echo-gather) least=$bytes ;;
        esac
        awk -v name="${name#echo-}" -v bytes="$bytes" -v empty="$empty" -v ours="$least" 'BEGIN {
            printf "| %s | %d | %d | %d | %.2f |\n", name, bytes / 1024, (bytes - ours) / 1024, (bytes - empty) / 1024,
                (bytes - empty) / (ours - empty)
        }'
    done
}

# seconds <name> <profile>: builds the package from nothing.
seconds() {
    local start
    rm -rf "$target/$1/target"
    start=$(date +%s.%N)
    cargo build --quiet --offline --jobs 2 --profile "$2" --manifest-path "$target/$1/Cargo.toml"
    awk -v start="$start" -v end="$(date +%s.%N)" 'BEGIN { printf "%.2f\n", end - start }'
}

median() { sort -n | sed -n 2p; }

time_builds() {
    package builds-gather benches/sizes/empty.rs "$ours"
    package builds-tokio benches/sizes/empty.rs 'tokio = { version = "1", features = ["rt", "net", "time"] }'
    echo "| a clean build, seconds | gather | tokio | gather / tokio |"
    echo "|---|--:|--:|--:|"
    local profile round ours theirs times
    for profile in dev release; do
        times=$(mktemp -d)
        for round in 1 2 3; do
            seconds builds-gather $profile >>"$times/ours"
            seconds builds-tokio $profile >>"$times/theirs"
        done
        ours=$(median <"$times/ours") theirs=$(median <"$times/theirs")
        rm -r "$times"
        awk -v profile=$profile -v ours="$ours" -v theirs="$theirs" \
            'BEGIN { printf "| %s | %.1f | %.1f | %.2f |\n", profile, ours, theirs, ours / theirs }'
    done
}

case ${1:-all} in
size) size ;;
time) time_builds ;;
all) size && echo && time_builds ;;
*) sed -n '2,8s/^# \?//p' "$0" && exit 1 ;;
esac
