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
    "Scalp": "頭皮上の電位分布",
    "Potentials against the mean of all channels.": "全チャンネルの平均を基準とした電位",
    "No place is known for: {names}": "位置が不明なチャンネル: {names}",
    "Left out for their signal: {names}": "信号不良のため除外: {names}",
    "{n} channels left out": "除外 {n} ch",
    "alpha, now": "現在のアルファ波",
    "mean, now": "現在の平均電位",
    "evoked": "誘発応答",
    "no events yet": "イベントはまだありません",
    "evoked at {ms} ms, mean of {n}": "誘発応答 {ms} ms、{n}回平均",
    "{ms} ms, mean of {n}": "{ms} ms、{n}回平均",
    "no signal yet": "信号はまだありません",
    "a map needs {least} channels with names of the 10-20 system; there are {n}": (
        "分布図には10-20法の名前のチャンネルが{least}個必要です(現在{n}個)"
    ),
    "too few good channels": "良好なチャンネルが不足",
    # image_view, imagined_view
    # retrieval_view
    # filmstrip_view
    # accuracy_view
    # latency_view
    # window, view
    # exhibition
    # presenter
    # signal_view, signal_report, signal_window
    "good": "良好",
    "flat": "信号なし",
    "mains": "電源ノイズ",
    "noisy": "ノイズ",
    "drift": "ドリフト",
    "not connected, or bridged to the reference: check the plug, dry the gel between the two": (
        "未接続、または基準電極と短絡しています。コネクタを確認し、電極間のジェルを拭き取ってください"
    ),
    "poor contact or ground: add gel here and at the ground, move cables and chargers away": (
        "接触不良またはグランド不良です。この電極とグランドにジェルを足し、ケーブルや充電器を遠ざけてください"
    ),
    "loose contact or muscles: add gel, press the electrode on; relax jaw and forehead": (
        "接触が緩いか、筋電位です。ジェルを足して電極を押さえ、顎と額の力を抜いてもらってください"
    ),
    "not settled yet, or sweat: wait a minute, cool the room, clean the skin": (
        "まだ安定していないか、発汗です。1分ほど待ち、部屋を涼しくし、皮膚を拭いてください"
    ),
    "ready: {good} of {n} channels are good": "準備完了: {n}チャンネル中{good}が良好です",
    "not yet: {bad} of {n} channels are bad, at most {most} may be": (
        "準備中: {n}チャンネル中{bad}が不良です(許容は{most}まで)"
    ),
    "looking for the EEG stream": "脳波ストリームを探しています",
    "the stream sends nothing": "ストリームからデータが届いていません",
    "measuring": "測定中",
    "nothing to do: every channel is good": "すべてのチャンネルが良好です",
    "Space: continue    Q: cancel    T: colours": "Space: 続行    Q: 中止    T: 配色",
    "noise of each channel in µV: bar 1–40 Hz, stroke mains": "各チャンネルのノイズ(µV): 棒は1–40 Hz、横線は電源",
    "1–40 Hz: {uv} µV": "1–40 Hz: {uv} µV",
    "{hz} Hz mains: {uv} µV": "電源 {hz} Hz: {uv} µV",
    "65–200 Hz: {uv} µV": "65–200 Hz: {uv} µV",
    "drift: {uv} µV": "ドリフト: {uv} µV",
    "necomimi: signal": "necomimi: 信号の確認",
    "Look at the pictures": "画像を見てください",
    "Keep your eyes on the dot in the middle of the screen. Pictures will appear there one after another.": (
        "画面中央の点を見つめてください。そこに画像が次々と表示されます。"
    ),
    "Whenever you see this sign, press Space as quickly as you can:": (
        "このマークが見えたら、できるだけ早くスペースキーを押してください。"
    ),
    "Sit still and relaxed. Blink in the breaks, as much as you like.": (
        "体を動かさず、楽にしていてください。まばたきは休憩中に自由にどうぞ。"
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
