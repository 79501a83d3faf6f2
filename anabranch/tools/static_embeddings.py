"""Embeddings without a model to run: those of the words, averaged. They come in the wheel of WordLlama.

The package itself is not imported: it sets up logging, and looks for its files on a hub.

Source: https://github.com/dleemiller/WordLlama (tokens of Llama 2, trained to be averaged). Frequent tokens count less,
by the weights of Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings" (2017), with their
frequencies by Zipf's law: the tokenizer lists frequent tokens first.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from anabranch.errors import MissingExtraError

_TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
_RARE = 1e-3
"""The frequency at which a token counts half."""


class StaticEmbeddings(Embeddings):
    """Embeddings of 256 numbers, in this process, mostly for English.

    Raises:
        MissingExtraError: WordLlama's files are not installed.
    """

    model = "wordllama-l2-supercat-256"

    def __init__(self) -> None:
        try:
            import numpy as np
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

            spec = find_spec("wordllama")
            folder = Path(spec.origin).parent if spec and spec.origin else Path("wordllama")
            self._tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
            (table,) = load_file(folder / _WEIGHTS).values()
        except Exception as error:  # of tokenizers, a bare Exception for a file that is not there
            raise MissingExtraError(f"static embeddings need: pip install 'anabranch[embeddings]' ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        frequency = 1 / np.arange(1, len(table) + 1)
        weights = _RARE / (_RARE + frequency / frequency.sum())
        self._table = (table.astype(np.float32) * weights[:, None]).astype(np.float32)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The embeddings of texts, each of length 1; zeros for a text without a known token."""
        import numpy as np

        found = [encoded.ids for encoded in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        vectors = np.zeros((len(texts), self._table.shape[1]), np.float32)
        for place, ids in enumerate(found):
            if ids:
                vectors[place] = self._table[ids].sum(axis=0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors.tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        """The embedding of a query."""
        return self.embed_documents([text])[0]
