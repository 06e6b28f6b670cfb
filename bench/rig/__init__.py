# SPDX-License-Identifier: Apache-2.0
"""What the real-program tests, the demo and the benchmarks share: programs started natively or woven, watched, loaded."""
