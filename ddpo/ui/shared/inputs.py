"""Components that hand their value on as it came, so that one place checks it and one sentence says what is wrong.

Gradio writes a .pyi next to any file that defines components, from what stands above the first of them; so this file
holds nothing else.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from pydantic import model_validator

from ddpo.errors import UserError
from ddpo.ui.shared import uploads


class AnyUpload(ImageData):
    """An upload, or whatever a program sent in its place, which then counts as none."""

    @model_validator(mode="before")
    @classmethod
    def _drop_what_is_no_file(cls, value: Any) -> Any:
        # Gradio checks that a path lies among the uploads only where this mark stands; without it any file of this
        # machine could be named.
        marked = isinstance(value, dict) and value.get("meta") == {"_type": "gradio.FileData"}
        return value if marked else {}


class OpenSlider(gr.Slider):
    """A slider whose limits are for the hand only."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The value, unchecked."""
        return payload


class OpenNumber(gr.Number):
    """A number field that neither rounds nor refuses."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The value, unchecked."""
        return payload


class OpenDropdown(gr.Dropdown):
    """A list whose choices may have changed since the page was opened."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """The value, unchecked."""
        return payload


class Upload(gr.Image):
    """A picture field that hands on the path of whatever was uploaded, a picture or not."""

    is_template = True
    data_model = AnyUpload

    about = "A picture."  # what it is, for the schema of the API; no argument, as Gradio's page would miss the others

    def api_info(self) -> dict[str, Any]:
        """As Gradio has it, with what it is."""
        return {**super().api_info(), "additional_description": self.about}

    def api_info_as_input(self) -> dict[str, Any]:
        """The same."""
        return self.api_info()

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """As Gradio does it; but what is at an address is read piece by piece, up to the size of an upload.

        Raises:
            gr.Error: it cannot be had, or is larger.
        """
        if not isinstance(url_or_file_path, str) or not url_or_file_path.lower().startswith(("http://", "https://")):
            return await super().async_move_resource_to_block_cache(url_or_file_path)
        try:
            path = await uploads.fetch(url_or_file_path, self.GRADIO_CACHE)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error
        self.temp_files.add(path)
        return path

    def preprocess(self, payload: Any) -> str | None:
        """Path of the upload, which Gradio has put into its own folder; None where there is none."""
        return payload.path if payload is not None else None


class Uploads(gr.File):
    """A field for any files, which hands on their paths; addresses are not fetched.

    Whoever makes one sets its `data_model` to `sent.AnyFiles`, as Gradio sets it for each anew.
    """

    is_template = True

    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """As Gradio does it, for files only.

        Raises:
            gr.Error: it is an address.
        """
        if isinstance(url_or_file_path, str) and url_or_file_path.lower().startswith(("http://", "https://")):
            raise gr.Error("Upload the files themselves; addresses are not fetched here.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def preprocess(self, payload: Any) -> list[str]:
        """Paths of the uploads, which Gradio has put into its own folder."""
        return [file.path for file in payload.root] if payload is not None else []
