# SPDX-License-Identifier: Apache-2.0
"""What the real-program tests, the demo and the benchmarks share: starting programs natively or woven, looking at them, loading them."""
