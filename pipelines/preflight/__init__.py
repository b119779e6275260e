"""`bigbird preflight`: what a TPU's compiler says of a recipe's training step, with no TPU at hand.

Reading order: `lowering` and `compiler` (a process each), `estimate`, `programs` that runs them, `search`, `job`, `report`,
`command`.
"""
