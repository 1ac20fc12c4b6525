"""Backup: a file with all that a store holds at one moment, and the way back."""

from nplmon.backup.errors import BackupError
from nplmon.backup.file import BackupHeader, check
from nplmon.backup.restoring import Restored, restore
from nplmon.backup.saving import save

__all__ = ["BackupError", "BackupHeader", "Restored", "check", "restore", "save"]
