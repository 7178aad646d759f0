"""What a board's memories make its core wait for; section ``[timing]`` of a board file.

``docs/cycle-model.md`` says what the numbers mean to the model and where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyvision.target.table import Table


@dataclass(frozen=True)
class CacheTiming:
    """A set-associative cache with least-recently-used replacement."""

    line_bytes: int
    size_bytes: int
    ways: int

    @property
    def sets(self) -> int:
        return self.size_bytes // self.line_bytes // self.ways


@dataclass(frozen=True)
class FlashTiming:
    """The flash, in cycles of the core.

    ``wait_states`` of one read of ``line_bytes``; ``fetch_extra`` and ``data_extra`` come on top of
    them for instructions and data that miss the caches; ``data_next``, if not 0, is the wait for
    the line after the last one instead. ``prefetch``: the next line of instructions is read ahead,
    and is asked for ``prefetch_lead`` cycles before the core needs it. ``data_buffer``: data within
    the line that was read last cost no wait. ``line_fill``: if not 0, there are level-one caches,
    and this is how long the core waits for what it asked for; all of the line is there after
    ``line_busy`` cycles, and no other data come from flash before (0: at once). ``write_back`` is
    added where the line that makes place was dirty.
    """

    wait_states: int
    line_bytes: int
    fetch_extra: int = 0
    data_extra: int = 0
    data_next: int = 0
    prefetch: bool = False
    prefetch_lead: int = 0
    data_buffer: bool = False
    line_fill: int = 0
    line_busy: int = 0
    write_back: int = 0


@dataclass(frozen=True)
class MemoryTiming:
    """A memory that is not as fast as the core. ``cached``: behind the level-one data cache, and
    ``read`` and ``write`` are what filling a line costs; else they are wait states. ``splits`` are
    offsets at which another memory of the same kind begins.
    """

    name: str
    read: int = 0
    write: int = 0
    cached: bool = False
    splits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Timing:
    """``basis`` says in words what the numbers rest on. ``unified``: the fetch cache holds data of
    the flash as well.
    """

    basis: str
    flash: FlashTiming
    fetch_cache: CacheTiming | None = None
    data_cache: CacheTiming | None = None
    unified: bool = False
    memories: tuple[MemoryTiming, ...] = ()


def read_timing(table: Table, memory_names: tuple[str, ...]) -> Timing:
    """Reads and checks ``[timing]``; BoardError for what is wrong in it."""
    timing = Timing(
        basis=table.text("basis"),
        flash=_flash(table.table("flash")),
        fetch_cache=_cache(table.table("fetch_cache")) if table.has("fetch_cache") else None,
        data_cache=_cache(table.table("data_cache")) if table.has("data_cache") else None,
        unified=table.flag("unified"),
        memories=tuple(_memory(entry, memory_names) for entry in table.tables("memories")),
    )
    table.finish()
    if timing.unified and (timing.fetch_cache is None or timing.data_cache is not None):
        raise table.fail("a unified cache is the fetch_cache, and there is no data_cache then")
    if any(memory.cached for memory in timing.memories) and timing.data_cache is None:
        raise table.fail("a memory is cached, but there is no data_cache")
    return timing


def _flash(table: Table) -> FlashTiming:
    flash = FlashTiming(
        wait_states=table.integer("wait_states", high=1000),
        line_bytes=table.integer("line_bytes", low=4, high=64),
        fetch_extra=table.integer("fetch_extra", high=1000, default=0),
        data_extra=table.integer("data_extra", high=1000, default=0),
        data_next=table.integer("data_next", high=1000, default=0),
        prefetch=table.flag("prefetch"),
        prefetch_lead=table.integer("prefetch_lead", high=1000, default=0),
        data_buffer=table.flag("data_buffer"),
        line_fill=table.integer("line_fill", high=1000, default=0),
        line_busy=table.integer("line_busy", high=1000, default=0),
        write_back=table.integer("write_back", high=1000, default=0),
    )
    table.finish()
    if not _is_power_of_two(flash.line_bytes):
        raise table.fail("line_bytes must be a power of two")
    return flash


def _cache(table: Table) -> CacheTiming:
    cache = CacheTiming(
        line_bytes=table.integer("line_bytes", low=4, high=64),
        size_bytes=table.integer("size_bytes", low=4, high=1 << 20),
        ways=table.integer("ways", low=1, high=256),
    )
    table.finish()
    line, size = cache.line_bytes, cache.size_bytes
    if not (_is_power_of_two(line) and size % (line * cache.ways) == 0 and cache.sets):
        raise table.fail("size_bytes must be a multiple of ways x line_bytes, a power of two")
    return cache


def _memory(table: Table, memory_names: tuple[str, ...]) -> MemoryTiming:
    memory = MemoryTiming(
        name=table.choice("name", memory_names),
        read=table.integer("read", high=1000, default=0),
        write=table.integer("write", high=1000, default=0),
        cached=table.flag("cached"),
        splits=table.integers("splits"),
    )
    table.finish()
    return memory


def _is_power_of_two(value: int) -> bool:
    return value & (value - 1) == 0
