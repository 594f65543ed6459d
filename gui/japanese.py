"""What the windows say, in Japanese: English text -> Japanese text.

Every text that the windows hand to `tr` stands here, with the same placeholders (a test holds it). One section for each
module, in the order of the tree.
"""

from __future__ import annotations

__all__ = ["JAPANESE"]

JAPANESE: dict[str, str] = {
    # panel
    "past": "過去",
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
    "non-finite": "非有限値",
    "amplitude": "振幅超過",
    "reference lost": "基準電極の外れ",
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
    # latency_view
    "Latency": "遅延",
    # exhibition
    "F11 or Esc returns": "F11かEscで戻る",
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
}
