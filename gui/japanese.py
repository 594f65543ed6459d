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
    "larger or smaller traces (or the wheel)": "波形を大きく・小さく(ホイールでも可)",
    "more or fewer seconds": "時間幅を長く・短く",
    "fit the scale to the signal": "振幅を信号に合わせる",
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
    # latency, latency_view
    "epoch": "区間待ち",
    "wait": "順番待ち",
    "embed": "埋め込み",
    "retrieve": "照合",
    "total": "合計",
    "Latency": "遅延",
    "from the last sample needed to the decision": "必要な最後のサンプルから判定まで",
    "now": "現在",
    "−{seconds} s": "−{seconds}秒",
    "nothing decoded yet": "まだ解読結果がありません",
    "nothing decoded in the last minute": "この1分間の解読結果はありません",
    "events": "イベント",
    "= retrievals": "= 解読",
    "+ refusals": "+ 除外",
    "+ pending": "+ 処理待ち",
    "samples missing": "欠落サンプル",
    "newest sample": "最新サンプル",
    "{n:.1f} s old": "{n:.1f}秒前",
    "pictures": "描いた画像",
    "{n} more": "ほか{n}件",
    # window, view
    # menus
    "&File": "ファイル(&F)",
    "Screenshot…": "スクリーンショット…",
    "Session report…": "セッションの報告書…",
    "Quit": "終了",
    "&View": "表示(&V)",
    "Theme": "配色",
    "Dark": "暗い",
    "Light": "明るい",
    "Theme of the desktop": "デスクトップの配色",
    "Switch dark and light": "明暗を切り替える",
    "Language": "言語",
    "Language of the desktop": "デスクトップの言語",
    "Switch the language": "英語と日本語を切り替える",
    "Panels": "パネル",
    "Show or hide a panel": "パネルの表示・非表示",
    "Reset the layout": "配置を元に戻す",
    "Menu bar": "メニューバー",
    "Full screen": "全画面",
    "&Playback": "再生(&P)",
    "Play or pause": "再生・一時停止",
    "Back by {n} s": "{n}秒戻る",
    "Forward by {n} s": "{n}秒進む",
    "Slower": "遅く",
    "Faster": "速く",
    "&Help": "ヘルプ(&H)",
    "Keys": "キー操作",
    "Screenshot": "スクリーンショット",
    "Pictures (*.png)": "画像 (*.png)",
    "Session report": "セッションの報告書",
    "Web pages (*.html)": "ウェブページ (*.html)",
    "saved: {path}": "保存しました: {path}",
    # keys_view
    "Esc closes this": "Escで閉じます",
    # playback_bar
    "Playback": "再生",
    "paused": "一時停止中",
    "end of the recording": "記録の終わり",
    "end, cut off in the middle of a message": "終わり(記録は途中で切れています)",
    "damaged from here on": "ここから先は破損しています",
    # session_report
    "Session of {began:%Y-%m-%d %H:%M}": "セッション {began:%Y-%m-%d %H:%M}",
    "what was watched": "表示した対象",
    "the window at the end": "終了時のウィンドウ",
    "Events": "イベント",
    "Accuracy": "正答率",
    "EEG": "脳波",
    "signal": "信号",
    "Decisions": "解読結果",
    "began": "開始",
    "duration": "時間",
    "recording": "記録",
    "{name}, at {place}": "{name}({place}の時点)",
    "feed": "フィード",
    "stream": "ストリーム",
    "{name} ({source})": "{name}({source})",
    "decoder": "デコーダー",
    "gallery": "ギャラリー",
    "{n} classes": "{n}クラス",
    "records lost on the way to the window": "ウィンドウに届く前に失われたレコード",
    "The decoder has not said how many events there were.": "デコーダーからイベント数の報告がありません。",
    "retrievals": "解読",
    "refusals": "除外",
    "pending": "処理待ち",
    "The parts make {n}.": "内訳の合計は{n}です。",
    "of this run of the decoder": "デコーダーの今回の実行",
    "number": "件数",
    "accuracy": "正答率",
    "95 % interval": "95 %区間",
    "chance": "偶然の水準",
    "found": "正答",
    "scored": "採点",
    "Of the final answers in this run of the decoder that this window has seen.": (
        "デコーダーの今回の実行で、このウィンドウに届いた最終回答によります。"
    ),
    "{n} of other labels are not scored.": "ほかのラベルの{n}件は採点していません。",
    "Nothing was decoded.": "解読結果はありません。",
    "step": "段階",
    "Milliseconds from the last sample needed, over the last {n} decisions.": (
        "必要な最後のサンプルからのミリ秒。直近の解読{n}件によります。"
    ),
    "channels": "チャンネル",
    "sampling rate": "サンプリング周波数",
    "holes seen by the window": "ウィンドウで見た欠落箇所",
    "state": "状態",
    "samples received": "受信サンプル",
    "drift": "ドリフト",
    "jitter": "ジッター",
    "warning": "警告",
    "no EEG has come": "脳波は届いていません",
    "event": "イベント",
    "shown": "提示",
    "best answer": "第1候補",
    "probability": "確率",
    "verdict": "判定",
    "The last {n}, newest first. Of all {m} that the window remembers: {counts}.": (
        "新しい順に{n}件。ウィンドウに残る{m}件の内訳: {counts}。"
    ),
    "right": "正解",
    "among the five best": "上位5位以内",
    "wrong": "不正解",
    "not scored": "採点対象外",
    "refused": "除外",
    # exhibition
    # presenter
    # signal check
}
