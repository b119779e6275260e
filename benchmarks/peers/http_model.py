"""A classifier of base size behind an HTTP front: transformers' BigBird on PyTorch, or its BERT on ONNX Runtime with fused attention.

POST {"instances": [{"text_a": "..."}]} is answered with {"predictions": [[logit, logit], ...]}, one text at a time. The front is
the standard library's; what it costs is small beside the model. Prints {"port", "library"} once the model has answered twice.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers

SIZES = {"max_position_embeddings": 4096, "hidden_act": "gelu_new"}

parser = argparse.ArgumentParser()
parser.add_argument("--mode", choices=("onnx", "bigbird"), required=True)
parser.add_argument("--length", type=int, required=True, help="tokens that each text is cut or padded to")
parser.add_argument("--layers", type=int, default=12)
parser.add_argument("--vocabulary", required=True, help="SentencePiece model")
given = parser.parse_args()
pieces = sentencepiece.SentencePieceProcessor(model_file=given.vocabulary)
words = pieces.get_piece_size() + 2  # and what stands at both ends


def tokens(text):
    """int64[1, L] of ids, and of the mask."""
    found = pieces.encode(text)[: given.length - 2]
    ids, mask = np.zeros((1, given.length), np.int64), np.zeros((1, given.length), np.int64)
    ids[0, : len(found) + 2] = [words - 2, *found, words - 1]
    mask[0, : len(found) + 2] = 1
    return ids, mask


def bigbird():
    config = transformers.BigBirdConfig(vocab_size=words, num_hidden_layers=given.layers, num_labels=2, **SIZES)
    model = transformers.BigBirdForSequenceClassification(config).eval()

    def answer(ids, mask):
        with torch.no_grad():
            return model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits[0].tolist()

    return answer, f"transformers {transformers.__version__} on PyTorch {torch.__version__}"


def onnx():
    import onnxruntime
    from onnxruntime.transformers import optimizer

    # The eager form: of what is exported from the others, ONNX Runtime 1.32 finds no attention to fuse.
    config = transformers.BertConfig(
        vocab_size=words, num_hidden_layers=given.layers, num_labels=2, attn_implementation="eager", **SIZES
    )
    model = transformers.BertForSequenceClassification(config).eval()
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        file = str(Path(folder) / "model.onnx")
        example = tuple(torch.from_numpy(array) for array in tokens("a"))
        torch.onnx.export(
            model, example, file, dynamo=False, opset_version=17,
            input_names=["ids", "mask"], output_names=["logits"],
        )  # fmt: skip
        fused = optimizer.optimize_model(
            file, model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=0
        )
        if fused.get_fused_operator_statistics()["Attention"] != given.layers:
            raise SystemExit("ONNX Runtime did not fuse attention")
        fused.save_model_to_file(file)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    kinds = {value.name: np.int32 if "int32" in value.type else np.int64 for value in session.get_inputs()}

    def answer(ids, mask):
        arrays = {"ids": ids, "mask": mask}
        return session.run(None, {name: arrays[name].astype(kind) for name, kind in kinds.items()})[0][0].tolist()

    return answer, f"ONNX Runtime {onnxruntime.__version__}"


torch.manual_seed(0)
answer, library = onnx() if given.mode == "onnx" else bigbird()
for _ in range(2):
    answer(*tokens("a b c " * given.length))
one_at_a_time = threading.Lock()


class Front(BaseHTTPRequestHandler):
    """Answers a POST, whatever its path."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):  # the name that the library calls
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        with one_at_a_time:
            content = json.dumps({"predictions": [answer(*tokens(each["text_a"])) for each in asked]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
print(json.dumps({"port": server.server_port, "library": library}), flush=True)
server.serve_forever()
