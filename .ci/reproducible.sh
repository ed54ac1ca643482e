#!/usr/bin/env bash
# Builds the release of the last commit anew and compares it with the one in dist:
# .ci/reproducible.sh [OS/ARCH …]
#
# Sources are taken from git, to another folder; nothing compiled before is used. So the same
# bytes mean that neither the place, nor the time, nor what lay around is in them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "$(git status --porcelain)" ]; then
  echo "reproducible: there are changes that are not committed" >&2
  exit 1
fi
version=${VERSION:-$(git describe --tags --always)}
commit=$(git rev-parse HEAD)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
mkdir "$work/another folder"
git archive HEAD | tar -x -C "$work/another folder"
GOCACHE=$work/cache "$work/another folder/.ci/release.sh" "$work/dist" "$version" "$commit" "$@"
cd "$work/dist"
failed=0 compared=0
for file in *; do
  if [ "$file" = SHA256SUMS ] && [ $# -gt 0 ]; then continue; fi # of some targets only
  compared=$((compared + 1))
  cmp -- "$file" "$OLDPWD/dist/$file" || failed=1
done
if [ "$failed" -ne 0 ]; then
  echo "reproducible: not the same bytes" >&2
  exit 1
fi
echo "reproducible: $compared files, built twice, have the same bytes"
