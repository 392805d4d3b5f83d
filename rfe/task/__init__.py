"""The labels of a data set: its classes, which of them blend, with what saliences, and what is scored."""

from rfe.task.blemore import BLEMORE
from rfe.task.file import TaskFile
from rfe.task.task import Task

__all__ = ["BLEMORE", "Task", "TaskFile"]
