"""What k6 printed → tidy DataFrames.

k6 writes its samples as CSV, at full resolution: ``metric_name,timestamp,metric_value,…,extra_tags,metadata``
(its "Real-time metrics: CSV" page; the header is printed first). Three metrics matter here: ``runbook_took`` (one row
a request, of our script), ``runbook_began`` and k6's own ``dropped_iterations``.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

WANTED = ("runbook_took,", "runbook_began,", "dropped_iterations,")
REQUESTS = {"start": "float64", "took": "float64", "path": "str", "status": "int64", "error": "str"}

#: k6's error codes, by their tens (its page "Error Codes"; lib/netext/httpext/error_codes.go).
KINDS = {
    1050: "timeout", 1100: "name not found", 1101: "name not found", 1110: "address refused by us", 1210: "cannot connect",
    1211: "timeout", 1212: "connection refused", 1220: "connection reset", 1201: "connection reset",
}
FAMILIES = {11: "name not found", 12: "connection broken", 13: "TLS", 14: "4xx", 15: "5xx", 16: "HTTP/2"}


def kind(status: int, code: int) -> str:
    """The kind of failure in words, empty for a good answer (status 200–399)."""
    if 200 <= status < 400 and not code:
        return ""
    if status >= 400:
        return f"status {status}"
    return KINDS.get(code) or FAMILIES.get(code // 100, "no answer")


class Samples:
    """Gathers k6's lines as they come; cheap enough to sit beside the generator.

    Args:
        paths: the paths of the scenario; a sample names its own by number.

    Attributes:
        took: ``(end, took, path, status, error)`` for each request; seconds since the epoch, seconds.
        dropped: when each arrival was dropped, seconds since the epoch.
        began: when the scenario began, seconds since the epoch; None until the first request.
    """

    def __init__(self, paths: Sequence[str]):
        self.paths = list(paths)
        self.took: list[tuple[float, float, str, int, str]] = []
        self.dropped: list[float] = []
        self.began: float | None = None

    def read(self, lines: Iterable[str]) -> None:
        """Take in lines; those of other metrics are passed over."""
        for line in lines:
            if line.startswith(WANTED):
                self.take(line)

    def take(self, line: str) -> None:
        """Take in one line of a wanted metric."""
        metric, stamp, value, rest = line.rstrip("\n").split(",", 3)
        at, number = int(stamp) / 1e6, float(value)
        if metric == "dropped_iterations":
            self.dropped += [at] * round(number)
        elif metric == "runbook_began":
            self.began = number / 1000
        else:
            tags = dict(tag.split("=") for tag in rest.split(",")[-2].split("&"))
            status, code = int(tags["status"]), int(tags["error"])
            self.took.append((at, number / 1000, self.paths[int(tags["path"])], status, kind(status, code)))

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame, float]:
        """The requests, the dropped arrivals, and when the scenario began (seconds since the epoch).

        Requests: ``start`` (s since the beginning, when it was sent), ``took`` (s), ``path``, ``status`` (0 without an answer),
        ``error`` (kind in words, "" if good), ordered by start. Dropped: ``at`` (s since the beginning).
        """
        rows = list(self.took)
        began = self.began
        if began is None:
            began = min([end - took for end, took, *_ in rows] + self.dropped, default=0.0)
        requests = pd.DataFrame(
            [(max(0.0, end - took - began), took, path, status, error) for end, took, path, status, error in rows],
            columns=list(REQUESTS)).astype(REQUESTS)
        dropped = pd.DataFrame({"at": [max(0.0, at - began) for at in self.dropped]}, dtype="float64")
        return requests.sort_values("start", ignore_index=True), dropped, began
