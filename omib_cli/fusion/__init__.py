"""Fusion methods: what turns the encodings z_1..z_M into one embedding and its losses; one file per method."""
