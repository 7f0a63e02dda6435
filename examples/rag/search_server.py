"""A search server in the form that `dspy.ColBERTv2` asks: `GET /search?query=…&k=…` gives `{"topk": [{pid, text, score}]}`.

It compares word by word, as ColBERT does, each word of the query with the nearest one of a passage; its words are pieces of three letters
in place of a model's vectors. Standard library alone: `python search_server.py [PORT]` prints where it listens.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Pieces = frozenset[str]


def words_of(text: str) -> list[Pieces]:
    """Each word as the pieces of three letters that it has."""
    words = (f"_{word}_" for word in re.findall(r"[a-z0-9]{3,}", text.lower()))
    return [frozenset(word[at : at + 3] for at in range(len(word) - 2)) for word in words]


def nearest(word: Pieces, words: list[Pieces]) -> float:
    """How near the nearest of some words is, 0 to 1."""
    return max((len(word & other) / len(word | other) for other in words), default=0.0)


with (Path(__file__).parent / "corpus.jsonl").open(encoding="utf-8") as file:
    PASSAGES = [json.loads(line) for line in file]
INDEX = [words_of(f"{each['title']} {each['text']}") for each in PASSAGES]


def search(query: str, k: int) -> list[dict[str, Any]]:
    """The `k` nearest passages, best first."""
    asked = words_of(query)
    scores = [sum(nearest(word, words) ** 2 for word in asked) for words in INDEX]
    order = sorted(range(len(PASSAGES)), key=lambda at: (-scores[at], at))[:k]
    return [{"pid": PASSAGES[at]["id"], "text": PASSAGES[at]["text"], "score": round(scores[at], 6)} for at in order]


class Door(BaseHTTPRequestHandler):
    """Answers searches."""

    def do_GET(self) -> None:
        """Answers one search."""
        asked = parse_qs(urlsplit(self.path).query)
        try:
            body: Any = {"topk": search(asked["query"][0][:10_000], max(1, min(int(asked.get("k", ["10"])[0]), 100)))}
        except (KeyError, ValueError):
            body = {"error": True, "message": "takes query and k"}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Door)
    print(f"http://127.0.0.1:{server.server_port}/search", flush=True)
    server.serve_forever()
