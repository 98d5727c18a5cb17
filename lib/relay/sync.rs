//! What the hand-over is made of. The model checker has its own in the place of this file (tests/hand_over.rs).

pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
