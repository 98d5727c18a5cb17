//! The merge tree (F rules).
