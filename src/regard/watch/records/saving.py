"""Records in files: one .safetensors file, whose metadata says in JSON what its tensors are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import RecordError
from regard.watch.record import Record
from regard.watch.records.parts import Reader, UnsavableError, Writer
from regard.watch.site import Site
from regard.writing import write_whole

# A file says with which version of the format it was written; older ones can be read, newer ones are refused.
FORMAT, VERSION = "regard record", 1


def load_record(path: str | Path) -> Record:
    """Return the record that `record.save(path)` wrote; its tensors lie on the CPU.

    Raises:
        RecordError: there is no such file, it is damaged, no record, or from a newer version of regard; or
            safetensors is not installed.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from error
    return record_of(content, str(path))


def save_record(record: Record, path: Path) -> Path:
    """Write a record to a file, whole or not at all; see `Record.save`."""
    write_whole(path, bytes_of(record), RecordError)
    return path


def bytes_of(record: Record) -> bytes:
    """Return a record as the content of a file.

    Raises:
        RecordError: safetensors is not installed.
    """
    writer = Writer()
    content = {
        "sites": [_json_of(site, writer) for site in record.sites],
        "coverage": writer.json_of(record.coverage),
        "sets": writer.json_of(record.sets),
    }
    places, parts = writer.storages()
    head = {"format": FORMAT, "version": str(VERSION), "record": json.dumps(content | {"tensors": places})}
    result: bytes = _safetensors().save(parts, head)
    return result


def record_of(content: bytes, name: str) -> Record:
    """Return the record of a file's content.

    Args:
        content: what `bytes_of` gave.
        name: what the content is called, for errors.

    Raises:
        RecordError: it is something else.
    """
    head = _head(content, name)
    if head.get("format") != FORMAT:
        raise RecordError(f"expected a record as record.save(path) writes it; {name} is none")
    if not head.get("version", "").isdecimal() or int(head["version"]) > VERSION:
        raise RecordError(
            f"expected a record of version {VERSION} or older; {name} has version"
            f" {head.get('version')!r}. Read it with a newer regard"
        )
    # Whatever goes wrong now, the file is not as it was written; what is made is made of known classes only.
    try:
        said = json.loads(head["record"])
        reader = Reader(said["tensors"], _parts(content))
        sites = [_checked(reader.value_of(each)) for each in said["sites"]]
        return Record(sites, reader.value_of(said["coverage"]), reader.value_of(said["sets"]))
    except Exception as error:
        raise RecordError(f"cannot read {name}: it is damaged ({error})") from error


def _json_of(site: Site, writer: Writer) -> Any:
    """Return a site as JSON, without what was kept of it if that holds a function."""
    try:
        return writer.json_of(site)
    except UnsavableError as function:
        why = f"its mechanism holds a {function}, and a file cannot hold Python functions"
        return writer.json_of(replace(site, kept=None, unkept=why))


def _checked(site: Any) -> Site:
    if not isinstance(site, Site):
        raise RecordError(f"expected a site; got {type(site).__name__}")
    return site


def _head(content: bytes, name: str) -> dict[str, str]:
    """Return the metadata of a safetensors file: 8 bytes of length, then JSON of that length."""
    try:
        length = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + length])
        return dict(head.get("__metadata__", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise RecordError(f"expected a record as record.save(path) writes it; {name} is none") from error


def _parts(content: bytes) -> dict[str, Tensor]:
    result: dict[str, Tensor] = _safetensors().load(content)
    return result


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise RecordError("records in files need safetensors: pip install 'regard[look]'") from error
    return safetensors.torch
