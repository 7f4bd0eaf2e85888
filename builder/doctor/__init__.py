"""Checks a build host, and names the command that fixes each lack."""

from builder.doctor.check import Check, Status, is_ready
from builder.doctor.examine import Examination, examine

__all__ = ["Check", "Examination", "Status", "examine", "is_ready"]
