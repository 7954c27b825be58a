"""Calibrate the probabilities of best.pth on its validation photos."""

from flower_mm.inference.calibration import measure
from flower_mm.inference.temperature import rescaled
from flower_mm.report.confidence import calibration
from flower_mm.report.predictions import Predictions


def calibrate(predictions: Predictions) -> dict:
    """Return what best.pth keeps about them, as plain values.

    The temperature counts only if it lowers the log loss of photos that it
    was not fitted on: each half is scaled with the temperature of the other.
    """
    labels, scores = predictions.labels, predictions.scores
    found = calibration(labels, scores, seed=0)
    temperature = found['temperature']
    if temperature and found['nll_scaled'] >= found['nll']:
        temperature = None
    if temperature:
        scores = rescaled(scores, temperature)
    end = '_scaled' if temperature else ''
    return {
        'temperature': temperature,
        'photos': len(labels),
        'ece_percent': {'raw': found['ece'], 'calibrated': found[f'ece{end}']},
        'log_loss': {'raw': found['nll'], 'calibrated': found[f'nll{end}']},
        **measure(labels, scores),
    }
