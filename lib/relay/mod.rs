//! Bytes on their way between the kernel, a decoder and another thread.
//!
//! - [`PageBuffer`]: where they are. [`PageReader`]: how they are read.
//! - [`hand_over`]: how they get from one thread to another. All that is done with bytes by another thread goes through
//!   it: what is read and decoded ahead (`pack`), written behind (`ext4`), hashed behind (`store`), hashed and spooled by
//!   whoever has nothing else to do (`flatten`).

mod buffer;
mod hand_over;
mod reader;
mod sync;

pub use buffer::PageBuffer;
pub use hand_over::{Ended, Receiver, Sender, hand_over};
pub use reader::PageReader;
