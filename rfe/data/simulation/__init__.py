"""The parts of the simulator; `rfe.data.simulate` is its public face."""
