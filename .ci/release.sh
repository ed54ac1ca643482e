#!/usr/bin/env bash
# Builds a release: .ci/release.sh DIR VERSION COMMIT [OS/ARCH …]
#
# Static binaries for each target, for each a bill of materials (CycloneDX), the licences of what
# is linked, and SHA256SUMS of all of them. Nothing of the place or the time gets in: the same
# sources and the same Go give the same bytes (.ci/reproducible.sh shows it).
set -euo pipefail
dir=$1 version=$2 commit=$3
shift 3
if ! [[ $version =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && $commit =~ ^[0-9a-f]*$ ]]; then
  echo "release: that is no version, or no commit: $version $commit" >&2
  exit 64
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
fi

# The machine's own settings must not get in either.
unset GOEXPERIMENT GODEBUG
export CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0 GOFLAGS=-mod=readonly

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
rm -f "$dir"/proxbox-sync_* "$dir"/LICENSE "$dir"/THIRD_PARTY_LICENSES.txt "$dir"/SHA256SUMS
go mod verify
go build -o "$dir/.supply" ./.ci/supply
for target in "${targets[@]}"; do
  name=proxbox-sync_${version#v}_${target/\//_}
  suffix=
  if [ "${target%/*}" = windows ]; then suffix=.exe; fi
  echo "$name$suffix" >&2
  GOOS=${target%/*} GOARCH=${target#*/} make --no-print-directory --silent build \
    VERSION="$version" COMMIT="$commit" OUT="$dir/$name$suffix" BUILDFLAGS=-buildvcs=false
  "$dir/.supply" sbom "$dir/$name$suffix" "$version" >"$dir/$name.cdx.json"
done
"$dir/.supply" notices >"$dir/THIRD_PARTY_LICENSES.txt"
rm "$dir/.supply"
cp LICENSE "$dir"
cd "$dir"
sum=(sha256sum)
if ! command -v sha256sum >/dev/null; then sum=(shasum -a 256); fi
sums=$("${sum[@]}" -- LICENSE THIRD_PARTY_LICENSES.txt proxbox-sync_*)
printf '%s\n' "$sums" >SHA256SUMS
