#!/usr/bin/env bash
# Installs a build tree into a temporary prefix, moves that prefix (a package must not remember where it was built), and
# builds and runs the consumer against it: with CMake's find_package, then with pkg-config and the bare compiler.
# run.sh BUILD_DIRECTORY CMAKE COMPILER CONFIGURATION
set -euo pipefail
build=$1 cmake=$2 compiler=$3 configuration=$4
source_dir=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --config "$configuration" --prefix "$work/staged" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
prefix=$work/moved
mv "$work/staged" "$prefix"
if grep -rn "$build\|$work" "$prefix" --include='*.cmake' --include='*.pc'; then
    echo "the installed package names the build machine's directories (above)"
    exit 1
fi
for tool in gdb/belay.py symbolize; do
    [ -s "$prefix/share/belay/$tool" ] || { echo "the package has no share/belay/$tool"; exit 1; }
done
library=$(find "$prefix" -name 'libbelay.*' | head -n 1)
library_dir=$(dirname "$library")

echo "-- find_package"
"$cmake" -S "$source_dir" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE="$configuration" \
    -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
"$cmake" --build "$work/build"
"$work/build/consumer"
"$work/build/guarded"
"$work/build/tested"

echo "-- pkg-config"
export PKG_CONFIG_PATH=$library_dir/pkgconfig
# shellcheck disable=SC2046  # the flags are words
"$compiler" -std=c++20 "$source_dir/main.cpp" -o "$work/plain" $(pkg-config --cflags --libs belay)
LD_LIBRARY_PATH=$library_dir "$work/plain"
