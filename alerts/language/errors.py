"""What is wrong with an expression or a text, and where."""

from __future__ import annotations


class ExpressionError(ValueError):
    """An expression or a text that cannot be used.

    Parameters
    ----------
    message
        What is wrong, for the person who wrote it, any suggestion included.
    line, column
        Where in the text, both from 1.
    suggestion
        What was probably meant, None where nothing is like it.
    path
        Which setting of the rule the text is in, such as ``("escalate", "critical")``; empty where
        only one text is in question.

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
        """The same error, said of a setting of a rule."""
        return ExpressionError(self.message, self.line, self.column, self.suggestion, path)


def error_at(text: str, offset: int, message: str, suggestion: str | None = None) -> ExpressionError:
    """The error at a place in a text, given as the number of characters before it."""
    before = text[:offset]
    line = before.count("\n") + 1
    return ExpressionError(message, line, offset - (before.rfind("\n") + 1) + 1, suggestion)
