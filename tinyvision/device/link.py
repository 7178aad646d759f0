"""The host's end of the serial line: requests, answers, resending, and clear errors."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from types import TracebackType

import serial
from serial.tools import list_ports

from tinyvision.device.protocol import (
    RESPONSE,
    STATUS_TEXT,
    Command,
    Decoder,
    Fault,
    Frame,
    Identity,
    ProtocolError,
    Status,
    encode,
)
from tinyvision.device.symbols import Symbols
from tinyvision.errors import DeviceError

log = logging.getLogger(__name__)

MAX_DAMAGED = 8
"""So many times a request is sent again because it arrived damaged."""
RESTART = b"\1"
"""Payload of FAULT that makes a faulted agent start over."""

BAUD = 115200
REPLY_SECONDS = 1.0
FIRST_REPLY_SECONDS = 0.3
"""First contact is tried often: the board may be starting up, a pty may not be listening yet."""


class FaultReport(DeviceError):
    """The firmware hit a hard fault; ``fault`` has the registers."""

    def __init__(
        self, fault: Fault, symbols: Symbols | None, where: str, seen: str | None = None
    ) -> None:
        self.fault = fault
        name = symbols.describe if symbols else "0x{:08x}".format
        what = f"the firmware faulted at {name(fault.pc)}"
        if fault.layer is not None:
            what += f" in layer {fault.layer}"
        why = ", ".join(fault.causes)
        if fault.address is not None:
            why += f" (address 0x{fault.address:08x})"
        if symbols and symbols.at(fault.lr & ~1):
            why += f"; called from {name(fault.lr)}"
        if seen:
            why += f"; the virtual board saw: {seen}"
        super().__init__(what, where, why, "Where it does not restart by itself, reset the board.")


class Rejected(DeviceError):
    """The agent answered a request with an error status."""

    def __init__(self, status: int, request: str, where: str) -> None:
        self.status = status
        known = {int(s): text for s, text in STATUS_TEXT.items()}
        super().__init__(
            f"the board refused {request}",
            where,
            known.get(status, f"unknown status {status}"),
            "Host and firmware may be of different versions: build and flash again.",
        )


class _Damaged(Exception):
    """The agent says that a request did not arrive whole."""


class NoAnswer(DeviceError):
    """Nothing, or nothing sensible, came back in time."""


class Link:
    """A connection to an agent on ``port``: a device name or a pyserial URL (``socket://...``).

    Context manager. ``symbols`` of the firmware make fault reports readable; ``witness`` tells
    what else is known of a failure (a virtual board sees more than its firmware does).
    """

    def __init__(
        self,
        port: str,
        *,
        baud: int = BAUD,
        symbols: Symbols | None = None,
        witness: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.port = port
        self.symbols = symbols
        self._witness = witness
        self.resent = 0
        self._decoder = Decoder()
        self._seq = 0
        self._serial = _open(port, baud)
        self._is_socket = "://" in port
        self._seconds_per_byte = 0.0 if self._is_socket else 10 / baud

    def close(self) -> None:
        self._serial.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def identify(self, *, within_seconds: float = 5.0) -> Identity:
        """First contact; the agent may take ``within_seconds`` to come up."""
        attempts = max(1, round(within_seconds / FIRST_REPLY_SECONDS))
        body = self.request(
            Command.IDENTIFY, timeout_seconds=FIRST_REPLY_SECONDS, attempts=attempts
        )
        try:
            return Identity.parse(body)
        except ProtocolError as error:
            raise DeviceError(
                "the board's answer makes no sense",
                self.port,
                str(error),
                "Its firmware is of another version: build and flash again.",
            ) from error

    def request(
        self,
        command: Command,
        payload: bytes = b"",
        *,
        timeout_seconds: float = REPLY_SECONDS,
        attempts: int = 4,
    ) -> bytes:
        """Sends a command, resends it when no answer comes in time, returns the answer's payload.

        ``timeout_seconds`` excludes the time on the wire. Commands that may not run twice are to
        be sent with ``attempts=1``.
        """
        self._seq = self._seq % 255 + 1  # 0 is the agent's own
        wire = encode(Frame(self._seq, command, payload))
        timeout = timeout_seconds + (len(wire) + 1100) * self._seconds_per_byte
        heard_before, bad_before = self._decoder.bytes, self._decoder.bad_frames
        timeouts = damaged = 0
        while timeouts < attempts and damaged < MAX_DAMAGED:
            first = not timeouts and not damaged
            self.resent += not first
            # The zero in front ends whatever half a frame the agent may hold.
            self._write(wire if first and command is not Command.IDENTIFY else b"\0" + wire)
            try:
                answer = self._await_answer(command, time.monotonic() + timeout)
            except _Damaged:  # not executed, so it may always be sent again
                damaged += 1
                continue
            if answer is not None:
                return answer
            timeouts += 1
        heard = self._decoder.bytes - heard_before
        if heard:
            raise NoAnswer(
                "what arrives is not an agent's answer",
                self.port,
                f"{heard} bytes came, with {self._decoder.bad_frames - bad_before} broken frames",
                "Is this the right port, at the right speed, and is tinyvision's firmware on the "
                "board? Flash it with 'tinyvision flash'.",
            )
        raise NoAnswer(
            f"no answer to {command.name.lower()}",
            self.port,
            f"nothing came within {timeout * attempts:.1f} s",
            "Is the board powered, is this its port, and is tinyvision's firmware on it? "
            "Flash it with 'tinyvision flash', or press reset.",
        )

    def _await_answer(self, command: Command, deadline: float) -> bytes | None:
        """The payload of the answer to the current request, None after the deadline."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            for frame in self._decoder.feed(self._receive(left)):
                if frame.seq == 0 and frame.command == Command.FAULT | RESPONSE:
                    raise self._fault_report(frame.body[1:])
                if frame.seq == 0 and frame.command == Command.BAD_FRAME | RESPONSE:
                    raise _Damaged
                if frame.seq != self._seq or frame.command != command | RESPONSE or not frame.body:
                    log.debug("%s: a stray frame, command 0x%02x", self.port, frame.command)
                    continue
                status = frame.body[0]
                if status == Status.OK:
                    return frame.body[1:]
                if status == Status.FAULT:
                    if command is Command.FAULT:
                        return frame.body[1:]
                    raise self._past_fault()
                raise Rejected(status, command.name.lower(), self.port)

    def _past_fault(self) -> FaultReport:
        """Asks for the fault that the agent says it has had, and restarts it."""
        report = self._fault_report(self.request(Command.FAULT))
        self.request(Command.FAULT, RESTART)
        return report

    def _fault_report(self, message: bytes) -> FaultReport:
        try:
            fault = Fault.parse(message)
        except ProtocolError:
            fault = Fault(0, 0, 0, 0, 0, None, 0)
        return FaultReport(fault, self.symbols, self.port, self._witness())

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[self._serial.write(view) or 0 :]
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def _receive(self, seconds: float) -> bytes:
        """What has arrived, waiting up to ``seconds`` for the first byte."""
        try:
            if self._is_socket:  # in_waiting is of no use on sockets
                self._serial.timeout = seconds
                first: bytes = self._serial.read(1)
                self._serial.timeout = 0
                return first + self._serial.read(4096) if first else b""
            self._serial.timeout = seconds
            first = self._serial.read(1)
            waiting = self._serial.in_waiting if first else 0
            return first + self._serial.read(waiting) if waiting else first
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> DeviceError:
        seen = self._witness()
        if seen:
            return DeviceError("the firmware has crashed", self.port, seen)
        return DeviceError(
            "the connection broke",
            self.port,
            str(error) or type(error).__name__,
            "Was the board unplugged, or did another program open the port?",
        )


def ports() -> list[str]:
    """The serial ports of this machine."""
    return sorted(port.device for port in list_ports.comports())


def _open(port: str, baud: int) -> serial.SerialBase:
    try:
        opened = serial.serial_for_url(port, do_not_open=True, baudrate=baud, timeout=0.1)
        if "://" not in port:
            opened.exclusive = True
            opened.write_timeout = 10
        opened.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise _open_error(port, error) from error
    opened.reset_input_buffer()
    return opened


def _open_error(port: str, error: Exception) -> DeviceError:
    number = getattr(error, "errno", None)
    text = str(error).lower()
    there = ports()
    others = f"Ports here: {', '.join(there)}." if there else "No serial port was found here."
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text:
        return DeviceError(
            "the port is busy", port, "another program has it open", "Close that program."
        )
    if number in (errno.EACCES, errno.EPERM) or "permission" in text or "access is denied" in text:
        return DeviceError(
            "the port may not be opened",
            port,
            "permission denied, or another program has it open",
            "On Linux, add yourself to the group 'dialout' and log in again.",
        )
    if number == errno.ENOENT or "no such file" in text:
        return DeviceError("there is no such port", port, "", others)
    if "://" in port:
        return DeviceError("the port cannot be reached", port, str(error), "Is its server running?")
    return DeviceError("the port cannot be opened", port, str(error), others)
