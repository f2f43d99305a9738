"""MLflow: a process of its own reads the journal and writes the runs; the search never waits for it (docs/mlflow.md).

``import raynas.tracking`` is light: MLflow is imported where a store is opened, in the tracker's own process.
"""

from raynas.tracking.check import check_address
from raynas.tracking.process import TrackerProcess, start
from raynas.tracking.redaction import public_uri
from raynas.tracking.sync import SyncReport, sync
from raynas.tracking.uri import resolve_tracking_uri

__all__ = ["SyncReport", "TrackerProcess", "check_address", "public_uri", "resolve_tracking_uri", "start", "sync"]
