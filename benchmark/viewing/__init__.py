"""Evaluates a trained model under views: which ones a fit gets, what they show it, what they measure.

The package itself imports nothing: plans need `wanted` and `classes` alone, which do without torch.
"""
