//! What the three bins share: exit status, messages, sizes, progress, atomic output (S rules).
