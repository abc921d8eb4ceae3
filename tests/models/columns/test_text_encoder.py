"""The network half of texts, and shifts of them."""

import numpy as np
import pyarrow as pa
import torch

from models.columns.kind import Ragged
from models.columns.text.encoder import Encoder, TokenSums
from models.columns.text.feed import TextSettings
from models.columns.text.shifts import SHIFTS, typing_errors
from models.columns.text.statistics import TextStatistics, piece_ids
from models.columns.text.tokens import spelt
from models.sections import Network
from tests.models.columns.texts import ALL, KIND, TEXTS, encode, fit, rows, run


def padded(ragged: Ragged) -> torch.Tensor:
    filled = np.zeros((len(ragged.lengths), int(ragged.lengths.max(initial=1))), ragged.values.dtype)
    filled[np.arange(filled.shape[1]) < ragged.lengths[:, None]] = ragged.values
    return torch.from_numpy(filled)


def small_encoder(statistics: TextStatistics) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder([TextSettings(width=8)], [statistics], Network())
    torch.nn.init.normal_(encoder.missing)
    return encoder


def test_sums_of_tokens_and_their_gradients_are_those_of_torch() -> None:
    vectors = torch.randn(10, 4, dtype=torch.float64, requires_grad=True)
    ids, counts = torch.tensor([3, 3, 1, 9, 0]), torch.tensor([2, 0, 3])
    sums = TokenSums.apply(vectors, ids, counts)
    expected = torch.stack([2 * vectors[3], torch.zeros(4), vectors[1] + vectors[9] + vectors[0]])
    assert torch.allclose(sums, expected)
    weights = torch.randn(3, 4, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((s * weights).sum(), vectors)[0] for s in (sums, expected))
    assert torch.allclose(ours, theirs)


def test_features_do_not_depend_on_order_padding_or_repetition_of_the_whole() -> None:
    encoder = small_encoder(fit(TEXTS)).eval()
    a, b, c = encoder(torch.tensor([[5, 9, 2, 0, 0, 0], [0, 2, 0, 9, 5, 0], [5, 5, 9, 9, 2, 2]], dtype=torch.int32))
    assert torch.allclose(a, b, atol=1e-6)
    assert torch.allclose(a, c, atol=1e-6)


def test_a_missing_text_has_a_learned_vector_and_some_texts_train_it() -> None:
    """Though most tokens are left out in training, a text of one token is not taken for a missing one."""
    statistics = fit(TEXTS)
    encoder = small_encoder(statistics)
    assert torch.equal(encoder.eval()(torch.zeros(1, 3, dtype=torch.int32))[0], encoder.missing)
    features = encoder.train()(torch.full((5000, 1), statistics.first_pair, dtype=torch.int32))
    shown = (features == encoder.missing).all(1).float().mean()
    assert 0.005 < shown < 0.02


def test_a_known_word_means_as_much_as_its_parts() -> None:
    """In training its pieces are summed one by one; in prediction the word has one vector."""
    statistics = fit(["card", "cards"])
    encoder = small_encoder(statistics)
    framed, words = spelt(["card"])
    pieces = piece_ids(framed, words, np.array([0]), statistics)
    (word,) = encode(["card"], statistics)
    expected = encoder.vectors[word[0]] + encoder.vectors[pieces[pieces > 0]].sum(0)
    features = encoder.eval()(torch.tensor([word]))[0]
    assert np.count_nonzero(pieces) == 9
    assert torch.allclose(features, expected / expected.norm() * 8**0.5, atol=1e-5)


def test_loaded_weights_are_those_that_predict() -> None:
    statistics, ids = fit(TEXTS), torch.tensor([[4, 7]])
    first, second = small_encoder(statistics).eval(), Encoder([TextSettings(width=8)], [statistics], Network()).eval()
    assert not torch.allclose(first(ids), second(ids))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(ids), second(ids))


def test_the_exported_encoder_gives_what_torch_gives() -> None:
    statistics = fit(TEXTS)
    encoder = small_encoder(statistics).eval()
    ids = padded(KIND.encode(pa.array([*TEXTS, None]), ALL, statistics))
    shapes = {"ids": {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}}
    program = torch.onnx.export(encoder, (ids,), dynamo=True, opset_version=20, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    name = program.model_proto.graph.input[0].name
    for part in (ids, ids[:1, :4], ids[-1:]):
        assert np.allclose(run(program.model_proto, {name: part.numpy()}), encoder(part).detach().numpy(), atol=1e-6)


def test_a_model_learns_what_words_mean() -> None:
    """Texts of two topics that share all words but one; word order tells the third."""
    rng = np.random.default_rng(0)
    fillers = ["please", "today", "card", "bank", "account", "now"]
    topics = rng.integers(0, 2, 300)
    texts = [" ".join([*rng.choice(fillers, 5), ("refund", "transfer")[topic]]) for topic in topics]
    statistics = fit(texts)
    encoder = small_encoder(statistics)
    layer = torch.nn.Linear(8, 2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *layer.parameters()], lr=0.05)
    ids = padded(KIND.encode(pa.array(texts), ALL, statistics))
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(layer(encoder(ids)), torch.from_numpy(topics))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = padded(KIND.encode(pa.array(["a refund", "TRANSFERS now"]), ALL, statistics))
    assert layer(encoder.eval()(unseen)).argmax(1).tolist() == [0, 1]


def test_typing_errors_change_a_few_characters_and_keep_what_is_missing() -> None:
    texts = pa.array(["where is my new card" * 20, None, "a"])
    changed = typing_errors(texts, ALL, np.random.default_rng(0)).to_pylist()
    assert changed[1] is None
    assert changed[2]
    assert changed[0] != texts[0].as_py()
    assert abs(len(changed[0]) - 400) < 20
    assert typing_errors(texts, ALL, np.random.default_rng(0)).to_pylist() == changed


def test_capitals_do_not_change_the_tokens() -> None:
    texts = pa.array(["where is my card", "где моя карта", "schöne größe"][:2])
    statistics = KIND.fit([texts], ALL)
    upper = SHIFTS["upper_case"](texts, ALL, np.random.default_rng(0))
    assert upper.to_pylist()[0] == "WHERE IS MY CARD"
    assert rows(KIND.encode(upper, ALL, statistics)) == rows(KIND.encode(texts, ALL, statistics))


def test_sizes_are_characters() -> None:
    assert KIND.sizes(KIND.to_input(pa.array(["ab", None, "日本語"]), ALL)).tolist() == [2, 0, 3]
