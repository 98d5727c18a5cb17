//! A tar stream to an ext4 image: the adapter between tar, tree and ext4 (I5, E11).
