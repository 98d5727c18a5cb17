//! References, digests, platforms, manifests and the layer manifest (M rules).
