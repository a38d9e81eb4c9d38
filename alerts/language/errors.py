"""Errors in expressions and texts, with their place."""

from __future__ import annotations


class ExpressionError(ValueError):
    """An expression or a text is invalid.

    Parameters
    ----------
    message
        What is wrong, for the person who wrote it, including any suggestion.
    line, column
        The place in the text, both from 1.
    suggestion
        What was probably meant; None if nothing is similar.
    path
        The rule's setting that holds the text, such as ``("escalate", "critical")``; empty if there is only
        one text.

    Examples
    --------
    >>> print(ExpressionError("unknown name 'x'", 1, 5))
    1:5: unknown name 'x'
    """

    def __init__(
        self,
        message: str,
        line: int = 1,
        column: int = 1,
        suggestion: str | None = None,
        path: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.suggestion = suggestion
        self.path = path

    def within(self, *path: str) -> ExpressionError:
        """The same error, in a setting of a rule."""
        return ExpressionError(self.message, self.line, self.column, self.suggestion, path)


def error_at(text: str, offset: int, message: str, suggestion: str | None = None) -> ExpressionError:
    """The error at an offset, in characters, of a text."""
    before = text[:offset]
    line = before.count("\n") + 1
    return ExpressionError(message, line, offset - (before.rfind("\n") + 1) + 1, suggestion)
