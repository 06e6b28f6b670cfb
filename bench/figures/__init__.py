# SPDX-License-Identifier: Apache-2.0
"""How each figure is measured, a module a claim. Thresholds are not here: bench/check has them."""
