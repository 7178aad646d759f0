"""What the memories make an instruction wait for; the twin of ``native/memory.c``."""

from __future__ import annotations

from tinyvision.cycles.clock import Clock, Step
from tinyvision.cycles.microop import Cause, MicroOp
from tinyvision.cycles.parameters import Parameters, Range, Storage
from tinyvision.target.timing import CacheTiming

_NOWHERE = 0xFFFFFFFF


class Cache:
    """Set-associative, least recently used first out."""

    def __init__(self, timing: CacheTiming) -> None:
        self.line_bytes = timing.line_bytes
        self._ways = timing.ways
        self._sets: list[dict[int, bool]] = [{} for _ in range(timing.sets)]  # line: dirty

    def clear(self) -> None:
        for lines in self._sets:
            lines.clear()

    def access(self, address: int, write: bool) -> tuple[bool, bool]:
        """Whether the line was there, and whether a dirty one made place for it."""
        line = address // self.line_bytes
        lines = self._sets[line % len(self._sets)]
        if line in lines:
            lines[line] = lines.pop(line) or write  # the newest is the last
            return True, False
        write_back = False
        if len(lines) == self._ways:
            write_back = lines.pop(next(iter(lines)))
        lines[line] = write
        return False, write_back


class MemorySystem:
    """Flash with wait states, prefetch and caches, level-one caches, SRAM behind a bus."""

    def __init__(self, parameters: Parameters, clock: Clock) -> None:
        self._clock = clock
        self._flash = parameters.flash
        self._ranges = parameters.ranges
        self._fetch_cache = Cache(parameters.fetch_cache) if parameters.fetch_cache else None
        own = Cache(parameters.data_cache) if parameters.data_cache else None
        self._data_cache = own
        self._flash_data_cache = self._fetch_cache if parameters.unified else own
        level_one = bool(parameters.flash.line_fill) or parameters.unified
        self._miss = Cause.CACHE_MISS if level_one else Cause.FLASH_WAIT
        self.clear()

    def clear(self) -> None:
        for cache in (self._fetch_cache, self._data_cache):
            if cache is not None:
                cache.clear()
        self._flash_free = self._prefetch_ready = 0
        self._prefetch_line = self._fetch_line = self._data_line = _NOWHERE

    def at(self, address: int) -> int:
        """Index of the range that holds an address, or -1."""
        for index, r in enumerate(self._ranges):
            if r.address <= address < r.address + r.size_bytes:
                return index
        return -1

    def _range(self, address: int) -> Range | None:
        index = self.at(address)
        return None if index < 0 else self._ranges[index]

    # ---- instructions --------------------------------------------------------------------------

    def fetch(self, op: MicroOp) -> None:
        """Waits until an instruction has been fetched."""
        cache, flash = self._fetch_cache, self._flash
        line_bytes = cache.line_bytes if cache else flash.line_bytes
        line = (op.end - 1) & ~(line_bytes - 1)
        if line == self._fetch_line:
            return
        self._fetch_line = line
        memory = self._range(line)
        if memory is None or memory.storage is not Storage.FLASH:
            return
        if cache.access(line, False)[0] if cache else flash.wait_states == 0:
            return
        waited = flash.line_fill or self._fetch_wait(line, line_bytes)
        self._clock.cycle += waited
        self._clock.stall(self._miss, waited)

    def _fetch_wait(self, line: int, line_bytes: int) -> int:
        flash, cycle = self._flash, self._clock.cycle
        wait = flash.wait_states + flash.fetch_extra
        if not flash.prefetch:
            return self._flash_read(wait)
        if self._prefetch_line == line:
            waited = max(0, self._prefetch_ready - (cycle + flash.prefetch_lead))
        else:
            waited = self._flash_read(wait)
        start = max(cycle + waited, self._flash_free)
        self._prefetch_line = (line + line_bytes) & 0xFFFFFFFF
        self._prefetch_ready = self._flash_free = start + wait + 1
        return waited

    def _flash_read(self, wait: int) -> int:
        """The flash does one read after the other."""
        ready = max(self._clock.cycle, self._flash_free) + wait
        self._flash_free = ready + 1
        return ready - self._clock.cycle

    # ---- data ----------------------------------------------------------------------------------

    def read(self, address: int) -> int:
        """Cycles that a read of the data bus takes longer than the fastest."""
        memory = self._range(address)
        if memory is None:
            return 0
        if memory.storage is Storage.FLASH:
            waited = self._read_flash(address)
            self._clock.stall(self._miss, waited)
        elif memory.storage is Storage.CACHED:
            waited = self._read_cached(memory, address, False)
            self._clock.stall(Cause.CACHE_MISS, waited)
        else:
            waited = memory.read
            self._clock.stall(Cause.OTHER, waited)
        return waited

    def write(self, address: int) -> int:
        """The same for a write. Flash takes none."""
        memory = self._range(address)
        if memory is None or memory.storage is Storage.FLASH:
            return 0
        if memory.storage is Storage.CACHED:
            waited = self._read_cached(memory, address, True)
            self._clock.stall(Cause.CACHE_MISS, waited)
            return waited
        self._clock.stall(Cause.OTHER, memory.write)
        return memory.write

    def read_all(self, step: Step) -> int:
        """Waits of all reads of an instruction."""
        op = step.op
        addresses = range(step.address, step.address + op.transfers * op.width, op.width)
        return sum(self.read(address & 0xFFFFFFFF) for address in addresses)

    def write_all(self, step: Step) -> int:
        """Waits of all writes of an instruction."""
        op = step.op
        addresses = range(step.address, step.address + op.transfers * op.width, op.width)
        return sum(self.write(address & 0xFFFFFFFF) for address in addresses)

    def _read_flash(self, address: int) -> int:
        cache, flash = self._flash_data_cache, self._flash
        write_back = False
        if cache is not None:
            hit, write_back = cache.access(address, False)
            if hit:
                return 0
        if flash.line_fill:
            before = flash.write_back if write_back else 0
            if flash.line_busy:
                before += max(0, self._flash_free - self._clock.cycle)
                self._flash_free = self._clock.cycle + before + flash.line_busy
            return before + flash.line_fill
        line_bytes = cache.line_bytes if cache else flash.line_bytes
        line, last = address & ~(line_bytes - 1), self._data_line
        self._data_line = line
        if flash.data_buffer and line == last:
            return 0
        if flash.data_next and line == (last + line_bytes) & 0xFFFFFFFF:
            return flash.data_next
        return self._flash_read(flash.wait_states) + flash.data_extra

    def _read_cached(self, memory: Range, address: int, write: bool) -> int:
        assert self._data_cache is not None
        hit, write_back = self._data_cache.access(address, write)
        if hit:
            return 0
        wait = memory.write if write else memory.read
        return wait + (self._flash.write_back if write_back else 0)
