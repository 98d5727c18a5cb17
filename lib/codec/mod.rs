//! Compression of layers and tar streams, chosen by magic bytes (F13).
