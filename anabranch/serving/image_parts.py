"""Images in a client's messages: inside the request as data URLs, or at an https address."""

import binascii
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

MAX_ADDRESS_CHARS = 8_192
_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,")


def _is_an_image(url: str) -> str:
    if url.startswith("data:"):
        if not (head := _DATA.match(url)):
            raise ValueError("the data URL is none of a PNG, JPEG, GIF or WebP image in base64")
        try:
            data = binascii.a2b_base64(url[head.end() :], strict_mode=True)
        except binascii.Error as error:
            raise ValueError(f"the image is no base64 ({error}); encode it again") from error
        if not data:
            raise ValueError("the image is empty; send one with content")
        return url
    if url.startswith("https://") and len(url) <= MAX_ADDRESS_CHARS:
        try:
            named = urlsplit(url).hostname
        except ValueError:
            named = None
        if named:
            return url
    raise ValueError("an image is a data URL in base64, or an https:// address")


ImageUrl = Annotated[str, AfterValidator(_is_an_image)]
Detail = Literal["auto", "low", "high", "original"]


class Image(BaseModel):
    """Where an image is, and how closely it is to be looked at."""

    url: ImageUrl
    detail: Detail | None = None


class ImagePart(BaseModel):
    """An image, as chat completions write it."""

    type: Literal["image_url"]
    image_url: Image

    def block(self) -> dict[str, Any]:
        """As a content block that chat models take."""
        return self.model_dump(exclude_none=True)


class InputImage(BaseModel):
    """An image, as responses write it. Files of OpenAI's are not to be had here."""

    type: Literal["input_image"]
    image_url: ImageUrl
    detail: Detail | None = None
    file_id: None = Field(default=None, description="Not to be had here.")

    def part(self) -> ImagePart:
        """The same as chat completions write it."""
        return ImagePart(type="image_url", image_url=Image.model_construct(url=self.image_url, detail=self.detail))
