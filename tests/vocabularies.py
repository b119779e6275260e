"""Small vocabularies of each kind, made here."""

import io
import json
import random

import sentencepiece

from bigbird.text.sentence_piece import train_vocabulary

WORDS = "ant bee cat dog eel fox gnu hen ibis jay kite lynx mole newt owl pig quail rat seal toad".split()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def sentences(words=tuple(WORDS), count=400, seed=0):
    rng = random.Random(seed)
    return [
        " ".join(rng.choices(words, k=rng.randint(3, 12))).capitalize() + f", {rng.randint(0, 99)}."
        for _ in range(count)
    ]


def sentence_piece(texts, size, **options):
    """A SentencePiece model that the library trains, as published ones are numbered: <pad> first, no <s> and </s> of its own."""
    writer = io.BytesIO()
    settings = {
        "hard_vocab_limit": False, "minloglevel": 2, "normalization_rule_name": "identity",
        "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>",
    }  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=writer, vocab_size=size, **settings | options
    )
    return writer.getvalue()


def word_piece(words=tuple(WORDS), cased=False):
    """A vocab.txt: special pieces not in front, single characters at a word's beginning and inside, and words."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789", *"\u00e9\u00df\u4e2d\u6587\u03c3\u1112\u1161\u11ab\u0301"]
    letters += [letter.upper() for letter in letters[:26]] if cased else []
    pieces = [
        *SPECIAL[:1],
        "[unused1]",
        *SPECIAL[1:],
        *letters,
        *(f"##{letter}" for letter in letters),
        *".,?![]<>-'\u2026",
    ]
    return "".join(f"{piece}\n" for piece in dict.fromkeys([*pieces, *words, "##ing", "mask"])).encode()


def tokenizer_json(vocab_txt, **changes):
    """The tokenizer.json of a vocab.txt, of an uncased BERT; `changes` by part, None leaves a part out."""
    pieces = vocab_txt.decode().splitlines()
    tree = {
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0}, "padding": None,
        "added_tokens": [{"id": pieces.index(piece), "content": piece, "special": True, **FLAGS} for piece in SPECIAL],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": None, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
        },
    }  # fmt: skip
    for part, change in changes.items():
        tree[part] = {**tree[part], **change} if isinstance(change, dict) else change
    return json.dumps(tree).encode()


def xlm_roberta(texts=None, size=150):
    """A SentencePiece model as XLM-R's is: <unk> <s> </s> in front, NFKC."""
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts or sentences()),
        model_writer=writer,
        vocab_size=size,
        hard_vocab_limit=False,
        minloglevel=2,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        normalization_rule_name="nmt_nfkc",
    )
    return writer.getvalue()


def of_kind(kind, words):
    """A vocabulary's bytes of a kind, for texts of these words."""
    texts = [*sentences(tuple(words)), *["who ?"] * 50]
    return {
        "sentencepiece": lambda: train_vocabulary(texts, 150),
        "wordpiece": lambda: word_piece(tuple(words)),
        "xlm_roberta": lambda: xlm_roberta(texts),
    }[kind]()
