"""The names in the AWS provider 6.25 for Terraform, as the last bindings of CDK for Terraform have them."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Where `make infra-test` puts the npm package.
ARCHIVE = Path(__file__).parent.parent.parent / ".venv-infra" / "cdktf-provider-aws-21.22.1.tgz"
SHA512 = (
    "06e48779a40550bf65df7a41cc83114fb71343af4033698bb628e3b5e08f8554"
    "119afba1ba3f4bbdfca67fb92700c858a804faf8bae5b3d8e21955bf52cdf3ad"
)

#: What Terraform itself knows in a block.
_META = frozenset({"count", "depends_on", "for_each", "lifecycle", "provider"})
_INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? {\n(.*?)^}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^ {4}readonly (\w+)(\??): (\w*)", re.MULTILINE)
_GETTER = re.compile(r"^ {4}get (\w+)\(", re.MULTILINE)


@dataclass(frozen=True)
class Field:
    is_required: bool
    #: Name of the interface of a block.
    type: str


@dataclass(frozen=True)
class Schema:
    """A resource or a data source: fields of its block and of those within, and attributes that can be read."""

    interfaces: Mapping[str, Mapping[str, Field]]
    main: str
    attributes: frozenset[str]

    def mistakes(self, body: Mapping[str, Any], interface: str = "") -> Iterator[str]:
        """Yield what a block has that it must not have, and what it lacks."""
        known = self.interfaces[interface or self.main]
        names = {camel(name): name for name in body if not name.startswith("__") and name not in _META | {"dynamic"}}
        blocks = dict(blocks_in(body))
        present = names.keys() | {camel(name) for name in blocks}
        yield from (f"{names[name]} is unknown" for name in names.keys() - known.keys())
        required = {name for name, field in known.items() if field.is_required}
        yield from (f"{name} is missing" for name in required - present)
        for name, bodies in blocks.items():
            if field := known.get(camel(name)):
                for each in bodies:
                    yield from (f"{name}: {mistake}" for mistake in self.mistakes(each, field.type))


def blocks_in(body: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the blocks in a block, and the contents of dynamic ones."""
    for name, value in body.items():
        if name == "dynamic":
            yield from ((unquoted(kind), each["content"]) for item in value for kind, each in named(item))
        elif name != "lifecycle" and isinstance(value, list) and value and isinstance(value[0], dict):
            if value[0].get("__is_block__"):
                yield name, value


def named(item: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in item.items() if not name.startswith("__"))


def unquoted(text: str) -> str:
    return text.strip('"')


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def read(kinds: Iterable[str]) -> dict[str, Schema]:
    """Return the schema of each resource, like "aws_lb", and of each data source, like "data.aws_region"."""
    assert hashlib.sha512(ARCHIVE.read_bytes()).hexdigest() == SHA512, "the package is another one"
    paths = {f"package/lib/{_folder(kind)}/index.d.ts": kind for kind in kinds}
    with tarfile.open(ARCHIVE) as archive:
        texts = {
            paths[member.name]: file.read().decode()
            for member in archive
            if member.name in paths and (file := archive.extractfile(member))
        }
    assert texts.keys() == set(paths.values())
    return {kind: _schema(text) for kind, text in texts.items()}


def _folder(kind: str) -> str:
    return kind.replace("data.", "data_").replace("aws_", "", 0 if kind.startswith("data.") else 1).replace("_", "-")


def _schema(text: str) -> Schema:
    interfaces = {
        name: {field: Field(not optional, kind) for field, optional, kind in _FIELD.findall(body)}
        for name, body in _INTERFACE.findall(text)
    }
    [main] = re.findall(r"interface (\w+) extends cdktf\.TerraformMetaArguments", text)
    return Schema(interfaces, main, frozenset(_GETTER.findall(text)))
