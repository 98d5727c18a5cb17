//! Trees and layers as readable lines, one member a line.
//!
//! ```text
//! dir usr/ 0755                      file usr/a "content\n" 0644 1000:1000 @1.5 user.k="v"
//! link usr/b -> usr/a                symlink sh -> busybox
//! char dev/null 1:3                  block dev/sda 8:0           fifo run/pipe
//! file sparse size=20000 8192:"x"    a file with holes, its data at 8192
//! ```
//!
//! Left out: modes 0755 for directories and 0644 for the rest, owner 0:0, time 0. Words with blanks stand in quotes;
//! `\n`, `\"`, `\\` and `\xff` are escapes. Lines that start with `#` are comments.

use std::fmt::Write as _;

/// One member of a layer, or one name of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub name: Vec<u8>,
    pub what: What,
    pub mode: u32,
    pub owner: (u32, u32),
    /// Seconds and nanoseconds, the latter counted upwards.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Dir,
    File(Vec<u8>),
    /// Size, and data by offset.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Link(Vec<u8>),
    Symlink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

impl What {
    fn default_mode(&self) -> u32 {
        match self {
            Self::Dir => 0o755,
            Self::Symlink(_) => 0o777,
            _ => 0o644,
        }
    }
}

impl Item {
    pub fn new(name: impl Into<Vec<u8>>, what: What) -> Self {
        let mode = what.default_mode();
        Self { name: name.into(), what, mode, owner: (0, 0), mtime: (0, 0), xattrs: Vec::new() }
    }

    /// Parses a line.
    pub fn parse(line: &str) -> Self {
        let fail = |why: &str| -> ! { panic!("{why} in the line: {line}") };
        let mut words = words(line).into_iter();
        let mut next = |what: &str| words.next().unwrap_or_else(|| fail(what));
        let kind = next("no type");
        let name = next("no name");
        let what = match &*kind {
            b"dir" => What::Dir,
            b"fifo" => What::Fifo,
            b"file" => What::File(Vec::new()),
            b"link" | b"symlink" => {
                assert!(next("no arrow") == b"->", "no arrow in the line: {line}");
                let target = next("no target");
                if &*kind == b"link" { What::Link(target) } else { What::Symlink(target) }
            }
            b"char" | b"block" => {
                let (major, minor) = pair(&next("no device number")).unwrap_or_else(|| fail("bad device number"));
                if &*kind == b"char" { What::Char(major, minor) } else { What::Block(major, minor) }
            }
            _ => fail("unknown type"),
        };
        let mut item = Self::new(name, what);
        for word in words {
            item.attribute(&word).unwrap_or_else(|| fail("what does this mean: an attribute"));
        }
        item
    }

    fn attribute(&mut self, word: &[u8]) -> Option<()> {
        let text = String::from_utf8_lossy(word);
        if let (What::File(content), Some(quoted)) = (&mut self.what, word.strip_prefix(b"\"")) {
            *content = quoted.to_vec();
        } else if let Some(size) = text.strip_prefix("size=") {
            self.what = What::Sparse(size.parse().ok()?, Vec::new());
        } else if let Some(time) = text.strip_prefix('@') {
            let (secs, fraction) = time.split_once('.').unwrap_or((time, ""));
            self.mtime = (secs.parse().ok()?, format!("{fraction:0<9}").parse().ok()?);
        } else if let Some((key, _)) = text.split_once("=\"") {
            let value = word[key.len() + 2..].to_vec();
            self.xattrs.push((key.as_bytes().to_vec(), value));
        } else if let Some((at, _)) = text.split_once(":\"") {
            let What::Sparse(_, data) = &mut self.what else { return None };
            data.push((at.parse().ok()?, word[at.len() + 2..].to_vec()));
        } else if let Some(owner) = pair(word) {
            self.owner = owner;
        } else {
            self.mode = u32::from_str_radix(&text, 8).ok()?;
        }
        Some(())
    }

    /// The line that parses to this.
    pub fn line(&self) -> String {
        let name = escape(&self.name);
        let mut line = match &self.what {
            What::Dir => format!("dir {name}"),
            What::Fifo => format!("fifo {name}"),
            What::File(content) if content.is_empty() => format!("file {name}"),
            What::File(content) => format!("file {name} \"{}\"", escape_inner(content)),
            What::Sparse(size, data) => {
                let mut line = format!("file {name} size={size}");
                for (at, bytes) in data {
                    let _ = write!(line, " {at}:\"{}\"", escape_inner(bytes));
                }
                line
            }
            What::Link(target) => format!("link {name} -> {}", escape(target)),
            What::Symlink(target) => format!("symlink {name} -> {}", escape(target)),
            What::Char(major, minor) => format!("char {name} {major}:{minor}"),
            What::Block(major, minor) => format!("block {name} {major}:{minor}"),
        };
        if matches!(self.what, What::Link(_)) {
            return line;
        }
        if self.mode != self.what.default_mode() && !matches!(self.what, What::Symlink(_)) {
            let _ = write!(line, " {:04o}", self.mode);
        }
        if self.owner != (0, 0) {
            let _ = write!(line, " {}:{}", self.owner.0, self.owner.1);
        }
        if self.mtime != (0, 0) {
            let fraction = format!(".{:09}", self.mtime.1);
            let _ = write!(line, " @{}{}", self.mtime.0, fraction.trim_end_matches('0').trim_end_matches('.'));
        }
        for (key, value) in &self.xattrs {
            let _ = write!(line, " {}=\"{}\"", escape_inner(key), escape_inner(value));
        }
        line
    }
}

/// The items of a text, one a line.
pub fn items(text: &str) -> Vec<Item> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Item::parse).collect()
}

/// Splits at blanks outside of quotes and resolves escapes. Only a quote that begins the word itself goes, unless it is
/// content: `"a b"` as the third word keeps its first quote, so that it is told from an attribute.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while let Some(&byte) = bytes.peek() {
        if byte == b' ' {
            bytes.next();
            continue;
        }
        let (mut word, mut quoted) = (Vec::new(), false);
        while let Some(byte) = bytes.next_if(|byte| quoted || *byte != b' ') {
            match byte {
                b'"' => {
                    if !quoted && (!word.is_empty() || words.len() > 1 && words[0] == b"file") {
                        word.push(b'"');
                    }
                    quoted = !quoted;
                }
                b'\\' => word.push(match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(b'x') => {
                        let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                        u8::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("bad escape in the line: {line}"))
                    }
                    Some(other) => other,
                    None => panic!("an escape of nothing in the line: {line}"),
                }),
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
    words
}

fn pair(word: &[u8]) -> Option<(u32, u32)> {
    let (a, b) = std::str::from_utf8(word).ok()?.split_once(':')?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

/// A name as a word.
fn escape(name: &[u8]) -> String {
    let inner = escape_inner(name);
    if inner.contains(' ') || inner.is_empty() { format!("\"{inner}\"") } else { inner }
}

fn escape_inner(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_ascii_control() => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}
