//! Bytes on their way between the kernel, a decoder and another thread.

mod buffer;
mod reader;

pub use buffer::PageBuffer;
pub use reader::PageReader;
