"""A virtual board: the machine in a thread of its own, its UART on a local TCP port."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tinyvision.cycles import HotFunction, basis, has_model, hot_functions
from tinyvision.device.profile import LayerCost
from tinyvision.device.virtual.image import read_image
from tinyvision.device.virtual.machine import CounterRead, Machine
from tinyvision.device.virtual.native_uart import NativeUart
from tinyvision.device.virtual.uart import UartModel
from tinyvision.errors import BoardError, DeviceError
from tinyvision.native import library
from tinyvision.target.board import Board

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.05
"""How long the core sleeps at a time while nothing comes in."""


class VirtualBoard:
    """Runs a firmware's ELF file as ``board`` would; context manager.

    ``port`` is a pyserial URL that takes one client at a time, as a serial port does. What the
    firmware does wrong is in ``problem()``; ``machine`` has the details.

    ``cycles``: the board's clock ticks in modelled cycles, as it does by default where there is a
    model, or else in instructions, which is faster. ``basis`` says what a cycle is.
    """

    def __init__(self, elf: Path, board: Board, *, cycles: bool | None = None) -> None:
        if board.hardware is None or board.hardware.twin.engine != "unicorn":
            raise BoardError(f"board '{board.name}' has no virtual twin of this kind")
        self._incoming = bytearray()
        self._arrived = threading.Condition()
        self._client: socket.socket | None = None
        self._closing = False
        driver, native = board.hardware.uart.driver, library()
        if native is None:
            uart = UartModel(driver, self._receive, self._send)
        else:
            uart = NativeUart(native, driver, self._receive, self._send)
        modelled = has_model(board) if cycles is None else cycles
        self.basis = basis(board) if modelled else "instruction count"
        self.machine = Machine(read_image(elf), board, uart, cycles=modelled)
        self._server = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [
            threading.Thread(target=self._serve, name="virtual-uart", daemon=True),
            threading.Thread(target=self._run, name="virtual-core", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Switches the board off."""
        self._closing = True
        self.machine.stop()
        with self._arrived:
            self._arrived.notify_all()
        _shut(self._server)
        self._drop_client()
        for thread in self._threads:
            thread.join(timeout=10)

    def layer_costs(self, cycles: Sequence[int]) -> list[LayerCost]:
        """See ``profile.Twin``. The agent reads the cycle counter around each layer and, at start,
        around an empty one.
        """
        costs = []
        for count, (start, stop) in zip(cycles, self._layer_reads(len(cycles)), strict=True):
            instructions = stop.instructions - start.instructions - self.machine.counter_cost
            stalls = None
            if start.cost is not None and stop.cost is not None:
                stalls = (stop.cost - start.cost).by_cause()
            costs.append(LayerCost(count, max(0, instructions), stalls))
        return costs

    def keep_detail(self) -> None:
        """From now on, ``hot_functions`` can be asked for; needs the cycle model."""
        self.machine.wants_detail = True

    def hot_functions(self, layer: int, layers: int) -> list[HotFunction]:
        """Where a layer's cycles went, of the ``layers`` just profiled."""
        symbols = self.machine.image.symbols

        def name_of(address: int) -> str:
            symbol = symbols.at(address)
            return symbol.name if symbol else f"0x{address:08x}"

        detail = self._layer_reads(layers)[layer][1].detail
        return hot_functions(detail, name_of, self.machine.read_memory)

    def _layer_reads(self, layers: int) -> list[tuple[CounterRead, CounterRead]]:
        """The counter reads before and after each of the layers just profiled."""
        reads = list(self.machine.counter_reads)[-2 * layers :]
        if len(reads) < 2 * layers:
            raise DeviceError("the firmware did not read the cycle counter around each layer")
        return list(zip(reads[::2], reads[1::2], strict=True))

    def problem(self) -> str | None:
        """The first thing that went wrong in the firmware, None if nothing did."""
        if self.machine.findings:
            return str(self.machine.findings[0])
        return self.machine.dead or None

    # ---- the core's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self.machine.run()
        except Exception:
            self.machine.dead = "the virtual board broke down; see the log"
            log.exception("the virtual board broke down")
        if self.machine.dead:
            log.warning("%s", self.machine.dead)
            self._drop_client()  # the host need not wait for an answer

    def _receive(self, wait: bool) -> bytes:
        with self._arrived:
            if wait and not self._incoming and not self._closing:
                start = time.monotonic()
                self._arrived.wait(IDLE_SECONDS)
                self.machine.pass_time(time.monotonic() - start)
            data = bytes(self._incoming)
            self._incoming.clear()
        return data

    def _send(self, data: bytes) -> None:
        client = self._client
        if client is not None:  # a UART sends whether anybody listens or not
            try:
                client.sendall(data)
            except OSError as error:
                log.debug("%s: %s", self.port, error)

    # ---- the UART's thread ---------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            if self.machine.dead:
                self._drop_client()
            self._listen(client)
            self._drop_client()

    def _listen(self, client: socket.socket) -> None:
        while not self._closing:
            try:
                data = client.recv(65536)
            except OSError:
                return
            if not data:
                return
            with self._arrived:
                self._incoming += data
                self._arrived.notify_all()
            self.machine.wake()

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            _shut(client)


def _shut(connection: socket.socket) -> None:
    """Closes a socket and wakes whoever waits for it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("%s", error)
    connection.close()
