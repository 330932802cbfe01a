import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from microfiche.nano.readout import SCALES, SQUARE, SQUARES, Readout, centres, places, square_at
from microfiche.page import TOKEN_SIDE
from microfiche.typesetting.density import DENSITIES, Density

densities = st.sampled_from(list(DENSITIES.values()))


@given(densities, st.sampled_from(SCALES), st.booleans(), st.integers(1, 4), st.integers(1, 4))
def test_a_character_is_read_from_the_squares_nearest_to_its_centre(
    density: Density, scale: float, full: bool, height: int, width: int
) -> None:
    rows, columns = (int(n * TOKEN_SIDE / scale) for n in (height, width))
    rows, columns = rows // density.height, columns // density.width
    at = places(density, rows, columns, height, width, full, scale)
    y, x = np.broadcast_arrays(*centres(density, rows, columns, full, scale))
    x = np.minimum(x, width * TOKEN_SIDE - 1)
    assert at.squares.shape == (rows, columns, 4) and at.place.shape == (rows, columns)
    assert (at.squares[..., 0] == square_at(y, x, height, width)).all() and (at.squares[..., 0] >= 0).all()
    for dy in (-SQUARE // 2, SQUARE // 2 - 1):
        for dx in (-SQUARE // 2, SQUARE // 2 - 1):
            touched = square_at(y + dy, x + dx, height, width)
            assert (touched[..., None] == at.squares).any(-1).all()


def test_squares_are_numbered_token_by_token() -> None:
    y, x = np.mgrid[: 2 * TOKEN_SIDE : SQUARE, : 3 * TOKEN_SIDE : SQUARE]
    squares = square_at(y, x, 2, 3)
    assert sorted(squares.reshape(-1)) == list(range(6 * SQUARES))
    assert (squares // SQUARES == y // TOKEN_SIDE * 3 + x // TOKEN_SIDE).all()
    assert (square_at(np.array([-1, 128, 0, 0]), np.array([0, 0, -1, 192]), 2, 3) == -1).all()


def test_places_that_two_scales_share_are_told_apart() -> None:
    density = DENSITIES["7x13"]
    tables = [set(np.unique(places(density, 9, 18, 2, 2, full, s).place)) for s in SCALES for full in (False, True)]
    assert all(not a & b for i, a in enumerate(tables) for b in tables[:i])
    assert max(max(t) for t in tables) < len(Readout(32, 64, 1, 16, 32).table)


def test_nothing_is_seen_beyond_the_page() -> None:
    torch.manual_seed(0)
    readout = Readout(32, 64, 1, 16, 32)
    for parameter in readout.around.parameters():
        torch.nn.init.normal_(parameter)
    squares = torch.randn(SQUARES, 16)
    inside, beyond = torch.tensor([[3, 5, 6, 7]]), torch.tensor([[3, -1, -1, -1]])
    place = torch.tensor([0])
    zeros = squares.clone()
    zeros[[5, 6, 7]] = 0
    assert not torch.equal(readout.see(squares, inside, place), readout.see(squares, beyond, place))
    assert torch.allclose(readout.see(zeros, inside, place), readout.see(squares, beyond, place))


def test_what_is_seen_at_a_place_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    readout = Readout(16, 64, 1, 8, 12).eval()
    for around in readout.around:
        torch.nn.init.normal_(around.weight)
    squares = torch.randn(2 * 2 * SQUARES, 8)
    at = places(DENSITIES["7x13"], 9, 18, 2, 2)
    indices, place = torch.from_numpy(at.squares.reshape(-1, 4)), torch.from_numpy(at.place.reshape(-1))
    together = readout.see(squares, indices, place)
    alone = [readout.see(squares, indices[i : i + 1], place[i : i + 1]) for i in range(len(place))]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    together.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in readout.around.parameters())
