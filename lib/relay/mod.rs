//! Moves bytes between the kernel, a decoder and other threads.
//!
//! - [`PageBuffer`] holds them, [`PageReader`] reads them.
//! - [`hand_over`] passes them from one thread to another. Whatever another thread does with bytes goes through it: reading
//!   and decoding ahead (`pack`), writing behind (`ext4`), hashing behind (`store`), hashing and spooling by idle threads
//!   (`flatten`).

mod buffer;
mod hand_over;
mod reader;
mod sync;

pub use buffer::PageBuffer;
pub use hand_over::{Ended, Receiver, Sender, hand_over};
pub use reader::{FileAt, PageReader, fill, fitting, read_buffered};
