//! Layers in a language made for fuzzers, where hardly a byte is without a meaning and a counterexample can be read: a
//! member a line.
//!
//! ```text
//! name/          a directory        name>target    a symlink
//! name=content   a file             name&target    a hard link
//! name           a FIFO             -              the end of a layer
//! ```
//!
//! In names and targets `!` stands for `.wh.`, `*` for `.wh..wh..opq`, `#` for `.wh..wh.plnk`. Owner and time are the
//! line's number, so that it shows where attributes come from.

use oci2ext4::meta::{Metadata, Timestamp, Xattr, Xattrs};

/// A member of a layer.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: Vec<u8>,
    pub what: What,
    /// Counted from 1 through all layers.
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Link(Vec<u8>),
    Fifo,
}

impl Member {
    pub fn meta(&self) -> Metadata {
        let mode = if self.what == What::Directory { 0o755 } else { 0o644 };
        Metadata { mode, uid: self.line, gid: 0, mtime: Timestamp::from_secs(self.line.into()) }
    }

    pub fn xattrs(&self) -> Xattrs {
        let line = self.line.to_string();
        let xattr = Xattr { name: "trusted.line", value: &*line };
        if self.line % 3 == 0 { Xattrs::new(vec![xattr]) } else { Xattrs::NONE }
    }
}

/// The layers that `bytes` describe, bottom first; any bytes describe some.
pub fn parse(bytes: &[u8]) -> Vec<Vec<Member>> {
    let mut layers = vec![Vec::new()];
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        match text {
            b"" => {}
            b"-" => layers.push(Vec::new()),
            _ => layers.last_mut().expect("there is one").push(member(line, text)),
        }
    }
    layers
}

fn member(line: u32, text: &[u8]) -> Member {
    let at = text.iter().position(|byte| b"=>&".contains(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(at);
    let what = match rest {
        [b'=', content @ ..] => What::File(content.to_vec()),
        [b'>', target @ ..] => What::Symlink(expand(target)),
        [b'&', target @ ..] => What::Link(expand(target)),
        _ if name.ends_with(b"/") => What::Directory,
        _ => What::Fifo,
    };
    Member { name: expand(name), what, line }
}

fn expand(text: &[u8]) -> Vec<u8> {
    let word = |byte: &u8| match byte {
        b'!' => b".wh.".to_vec(),
        b'*' => b".wh..wh..opq".to_vec(),
        b'#' => b".wh..wh.plnk".to_vec(),
        _ => vec![*byte],
    };
    text.iter().flat_map(word).collect()
}
