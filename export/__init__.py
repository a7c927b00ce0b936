"""From trained weights to artefacts, each verified before it is announced."""
