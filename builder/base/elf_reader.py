"""Reads the dynamic segment of one ELF file by pyelftools, which is loaded with this module."""

from typing import Any, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.common.utils import parse_cstring_from_stream, struct_parse
from elftools.construct import ConstructError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from builder.base.elf_info import ElfInfo

_LOADABLE = ("ET_EXEC", "ET_DYN")
# A damaged file makes pyelftools fail in any of these ways.
_DAMAGED = (ELFError, ConstructError, ValueError, KeyError, IndexError, StopIteration, TypeError)


def read_stream(stream: BinaryIO) -> ElfInfo | None:
    """Read an ELF file; None if no loader accepts it."""
    try:
        elf = ELFFile(stream)
        return _read(elf, stream) if elf.header.e_type in _LOADABLE else None
    except _DAMAGED:
        return None


def _read(elf: Any, stream: BinaryIO) -> ElfInfo:
    dynamic = None
    interpreter = None
    for segment in elf.iter_segments():
        if isinstance(segment, DynamicSegment):
            dynamic = segment
        elif segment.header.p_type == "PT_INTERP":
            interpreter = segment.get_interp_name()
    tags: dict[str, list[Any]] = {}
    for tag in dynamic.iter_tags() if dynamic is not None else ():
        tags.setdefault(tag.entry.d_tag, []).append(tag)
    search = tags.get("DT_RUNPATH") or tags.get("DT_RPATH") or []
    text = {"DT_RUNPATH": "runpath", "DT_RPATH": "rpath"}
    return ElfInfo(
        machine=elf.header.e_machine,
        bits=elf.elfclass,
        soname=next((tag.soname for tag in tags.get("DT_SONAME", [])), None),
        needed=tuple(tag.needed for tag in tags.get("DT_NEEDED", [])),
        runpath=tuple(
            folder
            for tag in search
            for folder in getattr(tag, text[tag.entry.d_tag]).split(":")
            if folder
        ),
        interpreter=interpreter,
        dynamic=dynamic is not None,
        versions=_read_versions(elf, stream, dynamic, tags),
    )


def _read_versions(
    elf: Any, stream: BinaryIO, dynamic: Any, tags: dict[str, list[Any]]
) -> dict[str, tuple[str, ...]]:
    """Read the version needs; the two structures are chained lists with relative links."""
    if "DT_VERNEED" not in tags:
        return {}
    _, strings = dynamic.get_table_offset("DT_STRTAB")
    (offset,) = elf.address_offsets(tags["DT_VERNEED"][0].entry.d_ptr)
    versions: dict[str, tuple[str, ...]] = {}
    for _ in range(tags["DT_VERNEEDNUM"][0].entry.d_val):
        need = struct_parse(elf.structs.Elf_Verneed, stream, stream_pos=offset)
        names = []
        auxiliary = offset + need.vn_aux
        for _ in range(need.vn_cnt):
            entry = struct_parse(elf.structs.Elf_Vernaux, stream, stream_pos=auxiliary)
            names.append(_string(stream, strings + entry.vna_name))
            auxiliary += entry.vna_next
        versions[_string(stream, strings + need.vn_file)] = tuple(sorted(names))
        offset += need.vn_next
    return versions


def _string(stream: BinaryIO, offset: int) -> str:
    value = parse_cstring_from_stream(stream, offset)
    if value is None:
        raise ValueError("a string reaches past the end of the file")
    return str(value.decode("utf-8", "replace"))
