"""CMU-MOSI: the layouts in which it is published, tokens and word pieces, and the dataset made of them."""
