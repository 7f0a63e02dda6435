"""Two ways to search a small corpus: by words (BM25) and by vectors of hashed pieces of words."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import dspy

CORPUS = Path(__file__).parent / "corpus.jsonl"
_WORDS = re.compile(r"[a-z0-9]+")
# What stands in nearly every sentence tells nothing.
_COMMON = frozenset(
    "a an and are as at be by do does for from how i in is it its of on or that the to was what when where which who with".split()
)


def read_corpus() -> list[dict[str, str]]:
    """The passages: `id`, `title` and `text`."""
    with CORPUS.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def words_of(text: str) -> list[str]:
    """The words that tell something, without the `s` of plurals."""
    found = (word for word in _WORDS.findall(text.lower()) if word not in _COMMON)
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]


def best(passages: list[dict[str, str]], scores: list[float], k: int) -> list[dict[str, Any]]:
    """The `k` passages with the highest scores above 0."""
    order = sorted(range(len(passages)), key=lambda at: (-scores[at], at))[:k]
    return [{**passages[at], "score": round(scores[at], 6)} for at in order if scores[at] > 0]


class KeywordRetriever(dspy.Module):
    """Okapi BM25 over words."""

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        super().__init__()
        self._passages = read_corpus()
        self._counts = [Counter(words_of(f"{each['title']} {each['text']}")) for each in self._passages]
        self._k1, self._b = k1, b
        self._mean = sum(map(Counter.total, self._counts)) / len(self._counts)
        self._held = Counter(word for counts in self._counts for word in counts)

    async def aforward(self, query: str, k: int = 10) -> Any:
        """Searches once."""
        asked = words_of(query)
        scores = [self._score(counts, asked) for counts in self._counts]
        return dspy.Prediction(passages=best(self._passages, scores, k))

    def _score(self, counts: Counter[str], asked: list[str]) -> float:
        length = self._k1 * (1 - self._b + self._b * counts.total() / self._mean)
        return sum(self._weight(word) * counts[word] * (self._k1 + 1) / (counts[word] + length) for word in asked)

    def _weight(self, word: str) -> float:
        held = self._held[word]
        return math.log(1 + (len(self._counts) - held + 0.5) / (held + 0.5))


class VectorRetriever(dspy.Module):
    """Cosine of vectors: each word and each of its pieces of three letters is hashed to a place."""

    def __init__(self, size: int = 512) -> None:
        super().__init__()
        self._size = size
        self._passages = read_corpus()
        self._vectors = [self._vector(f"{each['title']} {each['text']}") for each in self._passages]

    async def aforward(self, query: str, k: int = 10) -> Any:
        """Searches once."""
        asked = self._vector(query)
        scores = [sum(weight * vector.get(at, 0.0) for at, weight in asked.items()) for vector in self._vectors]
        return dspy.Prediction(passages=best(self._passages, scores, k))

    def _vector(self, text: str) -> dict[int, float]:
        vector: dict[int, float] = {}
        for word in words_of(text):
            pieces = [word, *(f"_{word}_"[at : at + 3] for at in range(len(word)))]
            for piece in pieces:
                place = zlib.crc32(piece.encode()) % self._size
                vector[place] = vector.get(place, 0.0) + (1.0 if piece == word else 0.3)
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        return {place: weight / length for place, weight in vector.items()}
