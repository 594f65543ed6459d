"""The only folder that imports pylsl: LSL streams in reach -> StreamInfo, samples, markers; and back.

Streams are neither encrypted nor authenticated: whoever reaches the network can read and send them. Time is
`local_clock()` in seconds everywhere. Figures in volts inside, in the stream's own unit on the wire.
"""

from pylsl import local_clock

from .choosing import StreamChoice, finder, search
from .finding import Finder, find_stream, resolve_handles, resolve_streams
from .headers import describe, to_record
from .inlets import EEGInlet, MarkerInlet, open_inlet
from .markers import MarkerReader
from .network import configuration_file, library, write_loopback_config
from .outlets import EEGOutlet, MarkerOutlet, SimilarityOutlet

__all__ = [
    "EEGInlet",
    "EEGOutlet",
    "Finder",
    "MarkerInlet",
    "MarkerOutlet",
    "MarkerReader",
    "SimilarityOutlet",
    "StreamChoice",
    "configuration_file",
    "describe",
    "find_stream",
    "finder",
    "library",
    "local_clock",
    "open_inlet",
    "resolve_handles",
    "resolve_streams",
    "search",
    "to_record",
    "write_loopback_config",
]
