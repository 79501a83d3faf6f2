"""Greetings, thanks and farewells, and short questions, told by their words, in the languages of most people."""

import re
import unicodedata

from anabranch.tools.terms import UNSPACED

_MAX_CHARS = 80
_MIN_UNSPACED = 5


def is_small_talk(text: str) -> bool:
    """Whether a text is nothing but greetings, thanks and the like."""
    if len(text) > _MAX_CHARS:
        return False
    left = _SPACED.sub("", f" {' '.join(words_of(text))} ")
    return not _UNSPACED.sub("", left).strip()


def has_small_talk(text: str) -> bool:
    """Whether a text has a greeting, thanks or the like in it."""
    return bool(_GREETING.search(f" {' '.join(words_of(text))} ") or _UNSPACED.search(text))


def courtesy(text: str) -> str:
    """What is said to small talk: thanks are answered in their language, all else is wished or said back."""
    said = f" {' '.join(words_of(text))} "
    for thanks, reply in _WELCOME:
        if thanks.search(said):
            return reply
    return text.strip()


def begins_a_question(text: str) -> bool:
    """Whether a short text asks something: by a question word, or its script says much in few letters."""
    unspaced = len(re.findall(f"[{UNSPACED}]", text))
    return unspaced >= _MIN_UNSPACED or has_question_word(text)


def has_question_word(text: str) -> bool:
    """Whether a text begins with a question word that is not its only one, or has one of Chinese, Korean or Thai."""
    words = words_of(text)
    return bool(_ASKING.search(text)) or (len(words) > 1 and words[0] in _QUESTION_WORDS)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    folded = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", folded))


def alternatives(phrases: str) -> str:
    """The phrases as one pattern, the longest first, spelt as `words_of` spells them."""
    plain = {" ".join(words_of(phrase)) for phrase in re.split(r"[|\n]", phrases)}
    return "|".join(sorted(filter(None, plain), key=len, reverse=True))


_GREETINGS = """
hello|hi|hey|hiya|howdy|yo|greetings|good morning|good afternoon|good evening|good night|good day|goodbye|good bye
bye|see you|see you later|see you soon|take care|have a nice day|thanks|thank you|thanks a lot|many thanks|cheers
welcome|you re welcome|ok|okay|all right|alright|fine|great|perfect|cool|nice|nice to meet you|yes|no|please|sorry
sure|got it|hallo|guten morgen|guten tag|guten abend|gute nacht|auf wiedersehen|tschuss|danke|danke schon
vielen dank|moin|servus|bonjour|bonsoir|salut|coucou|bonne nuit|bonne journee|au revoir|a bientot|merci
merci beaucoup|hola|buenos dias|buenas tardes|buenas noches|adios|hasta luego|hasta manana|gracias|muchas gracias
de nada|ola|oi|bom dia|boa tarde|boa noite|tchau|ate logo|obrigado|obrigada|muito obrigado|muito obrigada|ciao
buongiorno|buonasera|buonanotte|buona sera|arrivederci|grazie|grazie mille|molte grazie|salve|goedemorgen
goedemiddag|goedenavond|dag|tot ziens|dank je|dank je wel|dank u wel|bedankt|hej|hejsan|god morgon|god kvall|tack
tack sa mycket|hei|god morgen|god dag|takk|tusen takk|tak|mange tak|kiitos|hyvaa huomenta|czesc|dzien dobry
dobry wieczor|dobranoc|do widzenia|dziekuje|dziekuje bardzo|ahoj|dobry den|dekuji|na shledanou|jo napot|szia
koszonom|buna|buna ziua|multumesc|merhaba|selam|gunaydin|iyi aksamlar|tesekkurler|tesekkur ederim|привет|здравствуй
здравствуйте|доброе утро|добрый день|добрый вечер|спокойной ночи|до свидания|пока|спасибо|большое спасибо
спасибо большое|привіт|добрий день|дякую|γεια σου|γεια σας|γεια|καλημερα|καλησπερα|ευχαριστω|السلام عليكم|مرحبا|اهلا
اهلا وسهلا|صباح الخير|مساء الخير|شكرا|شكرا جزيلا|مع السلامه|שלום|בוקר טוב|ערב טוב|תודה|תודה רבה|להתראות|سلام|ممنون
متشکرم|خداحافظ|नमस्ते|नमस्कार|धन्यवाद|शुक्रिया|xin chao|cam on|selamat pagi|selamat siang|selamat malam|terima kasih
halo|habari|jambo|asante|asante sana|kamusta|salamat|magandang umaga|awesome|amazing|excellent|brilliant|wonderful
lovely|super|prima|toll|klasse|wunderbar|have a nice weekend|have a good weekend|have a good day
parfait|genial|perfecto|estupendo|perfeito|perfetto|ottimo
"""
_FILLERS = """
there|everyone|everybody|all|you|team|friend|friends|again|so|so much|very much|and|to|dear|for your help|a todos
a tous|zusammen|σου|σας
"""
_UNSPACED_GREETINGS = """
你好|您好|早上好|上午好|下午好|晚上好|早安|晚安|再见|再見|谢谢|謝謝|多谢|多謝|感谢|感謝|不客气|没关系|好的|很高兴认识|大家|你们|你|您|的帮助|非常|了|啊|こんにちは|こんばんは|おはよう|ございます
ございました|ありがとう|どうも|さようなら|おやすみ|なさい|お疲れ様|でした|です|はじめまして|よろしく|お願い|します|皆さん|はい|안녕하세요|안녕히|가세요|계세요|안녕|감사합니다|고맙습니다|고마워요|고마워
반갑습니다|여러분|정말|좋은|아침입니다|สวัสดี|ครับ|ค่ะ|คะ|ขอบคุณ|มาก|ลาก่อน|ราตรีสวัสดิ์|ສະບາຍດີ|ຂອບໃຈ|မင်္ဂလာပါ|ကျေးဇူးတင်ပါတယ်
សួស្តី|អរគុណ
"""
_REPLIES_TO_THANKS = """
You are welcome.|thanks|thank you|cheers
Gern geschehen.|danke|vielen dank
Je vous en prie.|merci
De nada.|gracias|obrigado|obrigada
Prego.|grazie
Graag gedaan.|dank je|dank u|bedankt
Varsågod.|tack
Vær så god.|takk
Selv tak.|tak
Ole hyvä.|kiitos
Proszę bardzo.|dziekuje
Není zač.|dekuji
Szívesen.|koszonom
Cu plăcere.|multumesc
Rica ederim.|tesekkurler|tesekkur ederim
Пожалуйста.|спасибо
Будь ласка.|дякую
Παρακαλώ.|ευχαριστω
عفوا.|شكرا
בבקשה.|תודה
خواهش می‌کنم.|ممنون|متشکرم
आपका स्वागत है।|धन्यवाद|शुक्रिया
Không có gì.|cam on
Sama-sama.|terima kasih
Karibu.|asante
"""
_UNSPACED_REPLIES_TO_THANKS = """
不客气。|谢谢|多谢|感谢
不客氣。|謝謝|多謝
どういたしまして。|ありがとう
천만에요.|감사합니다|고맙습니다|고마워
ยินดีครับ|ขอบคุณ
"""
_QUESTIONS = """
who whom whose what when where which why how wer wen wem was wann wo wie warum welche qui que quoi quand ou comment
combien quel quelle quien cuando donde cual como cuanto quem quando onde qual quanto chi cosa dove wat wanneer waar vem
vad var hvem hvad hvor kto co kiedy gdzie jak ki mi mikor hol кто что когда где почему как сколько хто що коли де kim
ne nerede ποιος τι ποτε που من ما متى أين كم מי מה מתי איפה कौन क्या कब कहाँ ai gi siapa apa kapan di
"""
_ASKING = re.compile(
    "谁|誰|什么|什麼|何|哪|怎|多少|多[久大深远遠重长長高]|几|幾|吗|嗎|なぜ|どこ|いつ|누구|무엇|어디|언제|왜|ใคร|อะไร|ไหน|เมื่อไ|ทำไม"
)


_QUESTION_WORDS = frozenset(word for text in _QUESTIONS.split() for word in words_of(text)[:1])
_SPACED = re.compile(rf"(?<= )(?:{alternatives(f'{_GREETINGS}|{_FILLERS}')})(?= )")
_GREETING = re.compile(rf"(?<= )(?:{alternatives(_GREETINGS)})(?= )")
_UNSPACED = re.compile(alternatives(_UNSPACED_GREETINGS))


def _welcome(lines: str, around: str) -> list[tuple[re.Pattern[str], str]]:
    """For each line, what its thanks look like, and what is said to them."""
    split = [line.split("|", 1) for line in lines.split("\n") if line]
    return [(re.compile(around.format(alternatives(thanks))), reply) for reply, thanks in split]


_WELCOME = [*_welcome(_REPLIES_TO_THANKS, " (?:{}) "), *_welcome(_UNSPACED_REPLIES_TO_THANKS, "{}")]
