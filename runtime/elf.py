"""64-bit ELF files, as far as the runtime is made of them: what they need, and where they look (elf(5))."""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, least significant byte first: amd64 and arm64
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 0, 1, 5, 15, 29


class Elf:
    """The bytes of an ELF file. Everything is changed in place, so that nothing in it moves."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(MAGIC):
            raise ValueError("this is no 64-bit little-endian ELF file")
        self.data = bytearray(data)

    def needed(self) -> list[str]:
        """Return the names of the libraries that it needs."""
        return [self._text(self._string_at(value)) for value in self._values(DT_NEEDED)]

    def loader(self) -> str:
        """Return the path of the loader that it asks the kernel for; "" for a library."""
        for kind, offset, _, size in self._segments():
            if kind == PT_INTERP:
                return self.data[offset : offset + size].rstrip(b"\0").decode()
        return ""

    def set_loader(self, path: str) -> None:
        """Ask for another loader, if for any; its path must not be longer. Raises ValueError."""
        for kind, offset, _, size in self._segments():
            if kind == PT_INTERP:
                if len(path) >= size:
                    raise ValueError(f"there is no room for {path} as the loader")
                self.data[offset : offset + size] = path.encode().ljust(size, b"\0")

    def forget_search_path(self) -> None:
        """Empty the library path that is built in, if there is one; an empty one is ignored."""
        for tag in (DT_RPATH, DT_RUNPATH):
            for value in self._values(tag):
                self.data[self._string_at(value)] = 0

    def replace(self, old: bytes, new: bytes) -> int:
        """Replace `old` by a `new` of the same length, wherever it is; return how often it was there."""
        if len(old) != len(new):
            raise ValueError(f"{new!r} does not fit in the place of {old!r}")
        count = self.data.count(old)
        self.data = self.data.replace(old, new)
        return count

    def _segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield each segment's type, its offset in the file, its address and its size in the file."""
        [table] = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        for number in range(count):
            kind, _, offset, address, _, in_file = struct.unpack_from(
                "<IIQQQQ", self.data, table + number * size
            )
            yield kind, offset, address, in_file

    def _values(self, wanted: int) -> Iterator[int]:
        """Yield the values of a tag of the dynamic section."""
        for kind, offset, _, size in self._segments():
            if kind != PT_DYNAMIC:
                continue
            for at in range(offset, offset + size, 16):
                tag, value = struct.unpack_from("<QQ", self.data, at)
                if tag == DT_NULL:
                    return
                if tag == wanted:
                    yield value

    def _string_at(self, index: int) -> int:
        """Return the offset in the file of a string of the dynamic section."""
        [table] = self._values(DT_STRTAB)
        for kind, offset, address, size in self._segments():
            if kind == PT_LOAD and address <= table < address + size:
                return offset + table - address + index
        raise ValueError("the dynamic section has no strings")

    def _text(self, offset: int) -> str:
        return self.data[offset : self.data.index(0, offset)].decode()
