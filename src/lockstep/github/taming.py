"""A report without what reaches beyond it, whoever wrote it: mentions, pictures, foreign links, tags, open ends.

Of HTML nothing survives but what `lockstep.report.markdown` writes, in the form in which it does. A fence or a fold is
taken for one only behind an empty line, where every reader of Markdown agrees that it is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lockstep.markdown import APART

CUT = "The rest does not fit into a comment: it is in the run's files."

_FENCE = re.compile(r"(?P<fence>`{3,})(?:|mermaid|console|yaml|sh|diff|text|json)")
_LIKE_A_FENCE = re.compile(r"^([\s>]*)(?=```|~~~)")
_FOLD = re.compile(r"<details><summary>[^<]*</summary>")
_FOLD_ENDS = "</details>"
_CODE = re.compile(r"(<code>[^<]*</code>)")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|#x27);)")
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Controls, and marks that turn the direction of reading. The space without width is ours."""

_REACHES = re.compile(
    r"(?:@|!(?=\[)|:(?=//)|(?<=www)\.|#(?=\d)|(?<=\bgh)-(?=\d)|\](?=[(\[:])|(?<=\[)!(?=(?:important|tip)\b))"
    rf"(?!{APART})",
    re.IGNORECASE,
)
"""Where a platform sees a mention, a picture, an address, an issue, a link, or a box such as only we draw."""

_IN_A_FENCE = re.compile(r"<(?=[a-z/!?])|&(?=[#a-z])|@(?=\w)", re.IGNORECASE)


def tame(report: str, own: str, most: int) -> str:
    """The report, harmless, in about `most` characters. Links survive that lead to `own`, the run's page.

    >>> tame("ask @you <b>", "", 100).encode("ascii", "backslashreplace").decode()
    'ask @\\\\u200byou &lt;b>'
    """
    reading, made, size = _Reading(own), list[str](), 0
    for line in _UNSEEN.sub("", report).strip("\n").split("\n"):
        ends = reading.ends()
        kept = reading.take(line)
        size += sum(len(each) + 1 for each in kept)
        if size > most:
            return "\n".join([*made, *ends, "", CUT])
        made += kept
    return "\n".join([*made, *reading.ends()])


@dataclass
class _Reading:
    """Where in a report we are: within which fence and how many folds, behind an empty line or a fold's own."""

    own: str
    fence: str = ""
    folds: int = 0
    behind_empty: bool = True
    behind_fold: bool = False

    def ends(self) -> list[str]:
        """Lines that close all that is open."""
        return [*([self.fence] if self.fence else []), *["", _FOLD_ENDS] * self.folds]

    def take(self, line: str) -> list[str]:
        """The next line, as it is kept."""
        # HTML ends at an empty line: behind a fold's own there is one.
        apart = [""] if self.behind_fold and line else []
        behind_empty, self.behind_fold = self.behind_empty or bool(apart), False
        self.behind_empty = not line
        return [*apart, self._kept(line, behind_empty)]

    def _kept(self, line: str, behind_empty: bool) -> str:
        if self.fence:
            if re.fullmatch(rf" {{0,3}}`{{{len(self.fence)},}}[ \t]*", line):
                self.fence = ""
            # Nothing is decoded here, so what is put in cannot be seen: it would help if this were no fence after all.
            return _IN_A_FENCE.sub(rf"\g<0>{APART}", line)
        found = _FENCE.fullmatch(line) if behind_empty else None
        if found:
            self.fence = found["fence"]
            return line
        if behind_empty and self._is_fold(line):
            self.folds += -1 if line == _FOLD_ENDS else 1
            self.behind_fold = True
            return _ENTITY.sub("&amp;", self._apart(line))
        return _LIKE_A_FENCE.sub(r"\1\\", _inert(self._apart(line)))

    def _is_fold(self, line: str) -> bool:
        return bool(_FOLD.fullmatch(line)) or (line == _FOLD_ENDS and self.folds > 0)

    def _apart(self, line: str) -> str:
        """Nothing in it calls somebody or leads elsewhere."""
        ours = f"]({self.own})"
        pieces = line.split(ours) if self.own else [line]
        return ours.join(_REACHES.sub(rf"\g<0>{APART}", piece) for piece in pieces)


def _inert(line: str) -> str:
    """No tag but <code>, no entity but those that we write."""
    pieces = _CODE.split(_ENTITY.sub("&amp;", line))
    return "".join(piece if _CODE.fullmatch(piece) else piece.replace("<", "&lt;") for piece in pieces)
