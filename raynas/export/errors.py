"""What a person can mend about an export."""

from __future__ import annotations

from raynas.errors import UserError


class ExportError(UserError):
    """A model that cannot be written or loaded: the message says why, and the way out."""
