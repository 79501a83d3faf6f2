"""Images in a conversation: who reads it as text reads a stand-in such as `[image 1]`, who answers gets the image.

Images are numbered through the whole conversation, so that a later turn, a plan or a sub-question can name one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

Block = Mapping[str, Any]
Images = Mapping[int, Block]
"""Content blocks by their numbers."""
NO_IMAGES: Images = MappingProxyType({})
_KINDS = frozenset({"image", "image_url", "input_image"})
"""What content blocks with images are called: by LangChain, in chat completions, in responses."""
_STAND_IN = re.compile(r"\[image (\d{1,6})\]")


def is_image(block: Any) -> bool:
    """Whether a content block is an image."""
    return isinstance(block, Mapping) and block.get("type") in _KINDS


def with_stand_ins(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The messages of a conversation with a stand-in before each image of a person's, so that it is in the text."""
    if not any(map(_images_of, messages)):
        return messages
    shown, number = [], 0
    for message in messages:
        if _images_of(message):
            content: list[Any] = []
            for block in message.content:
                if is_image(block):
                    number += 1
                    content.append({"type": "text", "text": f" [image {number}] "})
                content.append(block)
            message = message.model_copy(update={"content": content})
        shown.append(message)
    return shown


def images_in(messages: Sequence[BaseMessage]) -> Images:
    """All images of people's in a conversation."""
    blocks = [block for message in messages for block in _images_of(message)]
    return dict(enumerate(blocks, 1))


def images_asked_of(messages: Sequence[BaseMessage]) -> Images:
    """The images of the last human message."""
    places = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if not places:
        return {}
    before = len(images_in(messages[: places[-1]]))
    return {number: block for number, block in images_in(messages[: places[-1] + 1]).items() if number > before}


def mentioned(texts: Iterable[str], images: Images) -> Images:
    """The images whose stand-ins occur in some text."""
    if not images:
        return images
    numbers = {int(match[1]) for text in texts for match in _STAND_IN.finditer(text)}
    return {number: block for number, block in images.items() if number in numbers}


def shown(prompt: list[BaseMessage], images: Images) -> list[BaseMessage]:
    """A prompt with images at the end of its last message."""
    if not images:
        return prompt
    last = prompt[-1]
    content: list[Any] = [{"type": "text", "text": str(last.text)}]
    for number, block in images.items():
        content += [{"type": "text", "text": f"[image {number}]:"}, dict(block)]
    return [*prompt[:-1], HumanMessage(content)]


def has_images(messages: Iterable[BaseMessage]) -> bool:
    """Whether some message has an image."""
    return any(isinstance(message.content, list) and any(map(is_image, message.content)) for message in messages)


def without_images(message: BaseMessage) -> Any:
    """The content of a message without its images."""
    content = message.content
    return [block for block in content if not is_image(block)] if isinstance(content, list) else content


def _images_of(message: BaseMessage) -> list[Block]:
    if not isinstance(message, HumanMessage) or not isinstance(message.content, list):
        return []
    return [block for block in message.content if isinstance(block, Mapping) and is_image(block)]
