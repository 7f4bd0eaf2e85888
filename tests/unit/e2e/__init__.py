"""Tests of what the host tests are made of."""
