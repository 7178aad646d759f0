"""The errors a user can cause. Everything else that is raised is a bug of ours."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: ``what`` happened, ``where``, ``why``, and a ``hint`` what to
    try.

    The command line prints it as one message without a traceback and exits with 1.
    """

    def __init__(self, what: str, where: str = "", why: str = "", hint: str = "") -> None:
        self.what, self.where, self.why, self.hint = what, where, why, hint
        super().__init__(self.message())

    def message(self) -> str:
        """One sentence or two: ``WHERE: WHAT: WHY. HINT.`` with the empty parts left out."""
        text = ": ".join(part for part in (self.where, self.what, self.why) if part)
        return f"{text.rstrip('.')}. {self.hint}".strip() if self.hint else text


class ModelError(UserError):
    """The model file is broken, hostile, or holds something that cannot be compiled."""


class UnsupportedError(ModelError):
    """The model is sound but uses operators or attributes that are not supported.

    ``problems`` lists every one of them, so that nobody finds them one at a time.
    """

    def __init__(
        self, what: str, problems: tuple[str, ...], where: str = "", hint: str = ""
    ) -> None:
        self.problems = problems
        super().__init__(what, where, "; ".join(problems), hint)


class FitError(UserError):
    """The model does not fit the board's memory."""


class BoardError(UserError):
    """A board file, a board name, or the way to reach a board is wrong."""


class ToolError(UserError):
    """A tool that is needed (compiler, PlatformIO, uploader, emulator) is missing or failed."""


class DeviceError(UserError):
    """The device does not answer, answers garbage, faulted, or runs another model."""
