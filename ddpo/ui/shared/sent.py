"""Uploads as they were sent, whatever that was."""

from __future__ import annotations

from typing import Any

from gradio.data_classes import FileData, ListFiles
from pydantic import model_validator


class AnyFiles(ListFiles):
    """Uploads, without whatever a program sent in their place.

    Gradio checks that a path lies among the uploads only where its mark stands, as for `inputs.AnyUpload`.
    """

    @model_validator(mode="before")
    @classmethod
    def _drop_what_is_no_file(cls, value: Any) -> Any:
        listed = value if isinstance(value, list) else []
        return [entry for entry in listed if isinstance(entry, FileData) or _is_marked(entry)]


def _is_marked(value: Any) -> bool:
    return isinstance(value, dict) and value.get("meta") == {"_type": "gradio.FileData"} and "path" in value
