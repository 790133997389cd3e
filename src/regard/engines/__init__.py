"""How to compute a mechanism: engines that share one contract, and what all of them stand on."""
