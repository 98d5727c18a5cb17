//! The ext4 image writer (E rules).
