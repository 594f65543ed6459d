"""What the windows say, in Japanese: English text -> Japanese text.

Every text that the windows hand to `tr` stands here, with the same placeholders (a test holds it). One section for each
module, in the order of the tree.
"""

from __future__ import annotations

__all__ = ["JAPANESE"]

JAPANESE = {
    # display_state
    # panel
    # header_view
    # trace_view, event_layer
    # head_view
    # image_view, imagined_view
    # retrieval_view
    # filmstrip_view
    # accuracy_view
    # latency_view
    "Latency": "遅延",
    # window, view
    # exhibition
    # presenter
    # signal check
}
