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
    # window, view
    # exhibition
    # presenter
    "Look at the pictures": "画像を見てください",
    "Keep your eyes on the dot in the middle of the screen. Pictures will appear there one after another.": (
        "画面中央の点を見つめてください。そこに画像が次々と表示されます。"
    ),
    "Whenever you see this sign, press Space as quickly as you can:": (
        "このマークが見えたら、できるだけ早くスペースキーを押してください。"
    ),
    "Sit still and relaxed. Blink in the breaks, as much as you like.": (
        "体を動かさず、楽にしてください。まばたきは休憩中にどうぞ。"
    ),
    "Press Space to begin": "スペースキーを押すと始まります",
    "It begins by itself": "自動的に始まります",
    "Break": "休憩",
    "Rest your eyes. Move, blink, stretch.": "目を休めてください。体を動かしても、まばたきをしてもかまいません。",
    "{done} of {all} parts are done.": "{all}回中{done}回が終わりました。",
    "Press Space to go on": "スペースキーを押すと続きます",
    "It goes on by itself": "自動的に続きます",
    "Thank you": "お疲れさまでした",
    "That was all. You can relax now.": "これで終わりです。楽にしてください。",
    # signal check
}
