#!/bin/sh
# Write what the image installs as a bill of materials (sbom.json, CycloneDX) and as a list of licences (licenses.txt) into
# the folder of the first argument. Needs Python 3.11 or later.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
python3 -m venv --without-pip "$work/packages"
"$work/tools/bin/pip" --python "$work/packages/bin/python" install --quiet --disable-pip-version-check \
    --require-hashes -r "$root/requirements.txt"
# It warns that pyproject.toml has no dependencies: requirements.in has them.
PYTHONWARNINGS=ignore "$work/tools/bin/cyclonedx-py" environment --pyproject "$root/pyproject.toml" --output-reproducible \
    --output-file "$out/sbom.json" "$work/packages"
"$work/tools/bin/python" "$root/infra/image/licenses.py" "$out/sbom.json" > "$out/licenses.txt"
