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
    "{n} records were lost on the way to this window": "このウィンドウに届く途中で{n}件の記録が失われました",
    "(and {n} more)": "(ほか{n}件)",
    # trace_view, event_layer
    "EEG": "脳波",
    "display: {what}": "表示のみ: {what}",
    "1 bad channel": "不良チャンネル 1",
    "{n} bad channels": "不良チャンネル {n}",
    "{scale:g} {unit} per row": "1行 {scale:g} {unit}",
    "{seconds:g} s": "{seconds:g}秒",
    "↑↓ scale   ←→ window   A fit   R H L N filters": "↑↓ 振幅   ←→ 時間幅   A 自動調整   R H L N フィルタ",
    "now": "現在",
    "−{seconds} s": "−{seconds}秒",
    "{seconds:.1f} s gap": "{seconds:.1f}秒の欠落",
    # trace_controls
    "larger or smaller traces (or the wheel)": "波形を大きく・小さく(ホイールでも可)",
    "more or fewer seconds": "時間幅を長く・短く",
    "fit the scale to the signal": "振幅を信号に合わせる",
    "rows by region of the head, or in stream order": "並び順: 頭の部位別・ストリーム順",
    "reference: as recorded, average, Cz": "基準: 記録どおり・平均・Cz",
    "high-pass: off, 0.1, 1 Hz": "ハイパス: なし・0.1・1 Hz",
    "low-pass: off, 30, 40, 100 Hz": "ローパス: なし・30・40・100 Hz",
    "notch: off, 50, 60 Hz": "ノッチ: なし・50・60 Hz",
    "click": "クリック",
    "on a name: bad channel, yes or no": "チャンネル名: 不良の印を付ける・外す",
    # display_filter
    "average reference": "平均基準",
    "reference {channel}": "{channel}基準",
    "from {hz:g} Hz": "{hz:g} Hz以上",
    "up to {hz:g} Hz": "{hz:g} Hz以下",
    "notch {hz:g} Hz": "ノッチ {hz:g} Hz",
    # gutter
    "frontal": "前頭部",
    "central": "中心部",
    "temporal": "側頭部",
    "parietal": "頭頂部",
    "occipital": "後頭部",
    "noisy": "雑音",
    "mains hum": "電源雑音",
    "drifts": "ドリフト",
    "by hand": "手動",
    "{rms:.1f} µV rms · mains {mains:.1f} µV": "実効値 {rms:.1f} µV · 電源雑音 {mains:.1f} µV",
    "click: mark it as bad by hand": "クリック: 手動で不良とする",
    "click: not bad by hand any more": "クリック: 手動の印を外す",
    # reasons
    "gap": "欠落",
    "reconnect": "再接続",
    "seam": "継ぎ目",
    "overrun": "あふれ",
    "late": "遅延",
    "incomplete": "不完全",
    "flat": "平坦",
    "non-finite": "非有限値",
    "amplitude": "振幅超過",
    "reference lost": "基準電極の外れ",
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
