"""What the windows say, in Japanese: English text -> Japanese text.

Every text that the windows hand to `tr` stands here, with the same placeholders (a test holds it). One section for each
module, in the order of the tree.
"""

from __future__ import annotations

__all__ = ["JAPANESE"]

JAPANESE = {
    # display_state, source, mark
    "waiting for the decoder": "デコーダーを待っています",
    "start one with: necomimi decode DECODER": "起動するには: necomimi decode DECODER",
    "no data for {n:.0f} s": "{n:.0f}秒間データなし",
    "the decoder is silent; waiting for it to come back": "デコーダーからの応答がありません。復帰を待っています",
    "source searching": "入力を探しています",
    "source opening": "入力を開いています",
    "source checking": "入力を確認しています",
    "source stale": "入力が止まっています",
    "source lost": "入力が失われました",
    "waiting for EEG": "脳波を待っています",
    "the decoder is there, no samples yet": "デコーダーは動作中ですが、まだサンプルがありません",
    "no EEG for {n:.0f} s": "{n:.0f}秒間脳波なし",
    "the decoder is there, its source is silent": "デコーダーは動作中ですが、入力が届きません",
    "EEG is {n:.1f} s old": "脳波が{n:.1f}秒遅れています",
    "the decoder or this window does not keep up": "デコーダーかこのウィンドウの処理が追いついていません",
    "{name} · {n} channels · {sfreq:g} Hz": "{name} · {n}チャンネル · {sfreq:g} Hz",
    " · drift {drift} ppm · jitter {jitter:.1f} ms": " · ドリフト {drift} ppm · ジッター {jitter:.1f} ms",
    "live": "ライブ",
    "Graphics: Twemoji, CC BY 4.0": "画像: Twemoji, CC BY 4.0",
    "this gallery has {n} classes, the decoder's {m}": "ギャラリーは{n}クラス、デコーダーは{m}クラスです",
    "gap": "欠落",
    "reconnect": "再接続",
    "seam": "つなぎ目",
    "overrun": "処理超過",
    "late": "遅延",
    "incomplete": "不完全",
    "flat": "平坦",
    "non-finite": "非数値",
    "amplitude": "振幅",
    "reference lost": "基準電極はずれ",
    # panel
    "past": "過去",
    # header_view
    # trace_view, event_layer
    # head_view
    # image_view, imagined_view
    "Shown": "提示画像",
    "{n:.0f} s ago": "{n:.0f}秒前",
    "event {code}": "イベント {code}",
    "decoded {age}": "{age}に解読",
    "no markers: what is seen is not known": "マーカーがないため、何を見ているかは分かりません",
    "nothing decoded yet": "まだ解読結果がありません",
    "Imagined": "脳波から描いた画像",
    "no pictures come: start them with\nnecomimi decode DECODER\n--generator embedded": (
        "画像が届きません。生成するには:\nnecomimi decode DECODER\n--generator embedded"
    ),
    "no picture of this event": "このイベントの画像はありません",
    "preview": "下描き",
    "a small decoder of a small picture world": "小さな絵の世界の小さなデコーダー",
    "one stage": "一段階",
    "two stages": "二段階",
    # retrieval_view
    "Read from the EEG": "脳波からの読み取り",
    "mean of {n}, after {ms:.0f} ms": "{n}回の平均、{ms:.0f} ms後",
    "after {ms:.0f} ms": "{ms:.0f} ms後",
    "mean of {n} presentations": "{n}回の提示の平均",
    "of {n} classes": "{n}クラス中",
    "{label} is no class of this decoder": "{label}はこのデコーダーのクラスではありません",
    "{label} is not among these": "{label}はこの中にありません",
    "refused: {reason}": "除外: {reason}",
    "sure": "確信",
    # filmstrip_view
    "Last decisions": "これまでの解読",
    "event {code} · {n:.0f} s ago": "イベント {code} · {n:.0f}秒前",
    " — End or Esc returns to live": " — EndかEscでライブに戻る",
    "{n} newer ones": "さらに新しいもの {n}件",
    "scroll, or click one to see it again": "スクロールまたはクリックで見直せます",
    # accuracy_view, repetitions_chart, calibration_chart
    "Accuracy": "正答率",
    "Repetitions": "提示回数",
    "Calibration": "較正",
    "without markers, no answer can be judged": "マーカーがないため、採点できません",
    "1 decision seen here": "ここで見た解読 1件",
    "{n} decisions seen here": "ここで見た解読 {n}件",
    "1 decision": "解読 1件",
    "{n} decisions": "解読 {n}件",
    ", {n} of other labels": "、ほかのラベル {n}件",
    "chance {n:.3g} %": "偶然 {n:.3g} %",
    "one tick per event will stand here": "イベントごとの結果がここに並びます",
    "averaged": "平均回数",
    "decisions": "解読数",
    "95 % intervals · dashes: chance": "95 %区間 · 破線: 偶然",
    "a diagram stands here after {n} more scored decisions": "あと{n}件の採点で図が表示されます",
    "dashes: chance": "破線: 偶然",
    "probability": "確率",
    "probability of the best label": "第1候補の確率",
    "calibration error": "較正誤差",
    "upwards: share right": "縦軸: 正答の割合",
    # latency_view
    # window, view
    # exhibition
    "F11 or Esc returns": "F11かEscで戻る",
    # presenter
    # signal check
}
