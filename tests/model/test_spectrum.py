import numpy as np
import torch
from scipy.fft import dctn

from crossiqa_edge.model.spectrum import BANDS, BandEnergies, dct_matrix


def test_dct_matrix_is_orthonormal_and_agrees_with_scipy():
    matrix = dct_matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8), atol=1e-6, rtol=0)
    block = np.random.default_rng(0).random((8, 8))
    ours = matrix.double().numpy() @ block @ matrix.double().numpy().T
    np.testing.assert_allclose(ours, dctn(block, norm="ortho"), atol=1e-6)


def test_a_flat_patch_has_no_energy():
    energies = BandEnergies()(torch.full((1, 16, 16, 3), 0.3))
    assert energies.shape == (1, BandEnergies.outputs)
    assert energies.abs().max() < 1e-4


def test_noise_raises_every_band_and_a_checkerboard_the_last():
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 + 0.1 * torch.randn(1, 16, 16, 3, generator=generator)
    assert BandEnergies()(noise).min() > 0.5
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    board = (0.5 + 0.2 * (-1.0) ** (rows + columns))[None, ..., None].expand(1, 16, 16, 3)
    luma = BandEnergies()(board)[0].view(3, BANDS)[0]
    assert luma.argmax() == BANDS - 1


def test_energies_are_blind_to_brightness_and_grey_has_no_chroma():
    grey = torch.rand(1, 16, 16, 1, generator=torch.Generator().manual_seed(1)).expand(1, 16, 16, 3) * 0.5
    energies = BandEnergies()
    torch.testing.assert_close(energies(grey), energies(grey + 0.3), atol=1e-3, rtol=1e-3)
    assert energies(grey)[0].view(3, BANDS)[1:].abs().max() < 1e-4
