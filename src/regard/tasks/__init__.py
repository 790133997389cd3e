"""Tasks: what attention is used for, from a user's file to a scored answer that can be looked into."""

from regard.tasks.choose import find_task, task_names
from regard.tasks.contract import Answer, Batch, Features, Parts, Row, Scores, Task, Total

__all__ = [
    "Answer",
    "Batch",
    "Features",
    "Parts",
    "Row",
    "Scores",
    "Task",
    "Total",
    "find_task",
    "task_names",
]
