import pytest

from anabranch.agents.gate import auto, resolve_gate
from anabranch.errors import ConfigurationError

SMALL_TALK = [
    *("hello", "Hi there!", "thanks", "ok", "", "👋", "Good morning everyone!", "Hello, thank you very much!"),
    *("Guten Morgen zusammen", "Vielen Dank!", "Bonjour à tous", "Merci beaucoup", "¡Buenos días!", "Muchas gracias"),
    *("Muito obrigado", "Grazie mille", "Dank je wel", "Tack så mycket", "Dziękuję bardzo", "Teşekkür ederim"),
    *("Доброе утро!", "Спасибо большое", "Καλημέρα σας", "السلام عليكم", "شكرا جزيلا", "תודה רבה", "नमस्ते", "धन्यवाद"),
    *("你好", "您好！", "早上好", "谢谢你的帮助", "こんにちは", "おはようございます", "どうもありがとうございました"),
    *("안녕하세요", "감사합니다", "สวัสดีครับ", "ขอบคุณมาก", "Xin chào", "Terima kasih"),
]
QUESTIONS = [
    *("Who wrote the first compiler and when?", "12*3", "why?", "为什么？", "لماذا؟", "who is Ada", "wer ist Ada"),
    *(
        "蒸汽机是谁发明的",
        "大阪の面積は",
        "富士山の高さ",
        "한국의 수도는",
        "เมืองหลวงของไทย",
        "谁是李白",
        "кто такой Ян",
    ),
    *("Hello, name the capital of Peru", "你好，请介绍一下长江的长度", "thank you note etiquette in Japan"),
]


@pytest.mark.parametrize("question", SMALL_TALK)
def test_small_talk_is_answered_directly(question: str) -> None:
    assert not auto(question)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_may_be_a_question_is_planned_for(question: str) -> None:
    assert auto(question)


def test_gates_by_name() -> None:
    assert resolve_gate("auto") is auto
    assert resolve_gate("always")("hi")


def test_a_function_is_taken_as_it_is() -> None:
    def never(_question: str) -> bool:
        return False

    assert resolve_gate(never) is never


@pytest.mark.parametrize("gate", ["never", "", None, 1])
def test_unknown_gates_are_refused(gate: object) -> None:
    with pytest.raises(ConfigurationError, match="use auto, always, or a function"):
        resolve_gate(gate)  # type: ignore[arg-type]
