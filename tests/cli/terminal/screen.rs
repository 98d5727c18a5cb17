//! What somebody sees who looks at a terminal: a model that knows as much as the filters may use.

/// Rows of characters, the last of them where the cursor is; it never goes up.
pub struct Screen {
    width: usize,
    rows: Vec<Row>,
    column: usize,
    /// An escape sequence that has not ended.
    escape: Vec<u8>,
    /// Every line of progress, as it stood when it had just been drawn, with the width of that time.
    pub drawn: Vec<(String, usize)>,
}

#[derive(Default)]
struct Row {
    text: Vec<u8>,
    /// It goes on from the row before.
    wrapped: bool,
}

impl Screen {
    pub fn new(width: usize) -> Self {
        Self { width, rows: vec![Row::default()], column: 0, escape: Vec::new(), drawn: Vec::new() }
    }

    pub fn resize(&mut self, width: usize) {
        self.width = width;
    }

    #[track_caller]
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    #[track_caller]
    fn byte(&mut self, byte: u8) {
        if !self.escape.is_empty() || byte == 0x1b {
            self.escape.push(byte);
            match &self.escape[..] {
                b"\x1b" | b"\x1b[" => {}
                b"\x1b[K" => {
                    self.escape.clear();
                    self.erase();
                }
                other => panic!("an escape {other:?}\n{}", self.text()),
            }
            return;
        }
        match byte {
            b'\r' => self.column = 0,
            b'\n' => {
                self.rows.push(Row::default());
                self.column = 0;
            }
            b' '..=b'~' | 0x80.. => self.put(byte),
            other => panic!("a control {other:?}\n{}", self.text()),
        }
    }

    fn put(&mut self, byte: u8) {
        if self.column == self.width {
            self.rows.push(Row { wrapped: true, ..Row::default() });
            self.column = 0;
        }
        let row = &mut self.rows.last_mut().unwrap().text;
        row.resize(row.len().max(self.column + 1), b' ');
        row[self.column] = byte;
        self.column += 1;
    }

    /// To the end of the row. What stands before the cursor then is a line of progress.
    fn erase(&mut self) {
        let (column, width) = (self.column, self.width);
        let row = self.rows.last_mut().unwrap();
        row.text.truncate(column);
        if column > 0 {
            assert!(!row.wrapped, "a line of progress wraps at {width}\n{}", self.text());
            let line = String::from_utf8(row.text.clone()).unwrap();
            assert!(line.len() < width, "as wide as the terminal: {line}");
            self.drawn.push((line, width));
        }
    }

    /// The lines that are not empty; what was wrapped is one.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for row in &self.rows {
            match lines.last_mut().filter(|_| row.wrapped) {
                Some(line) => line.extend(&row.text),
                None => lines.push(row.text.clone()),
            }
        }
        let lines = lines.iter().map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }

    pub fn text(&self) -> String {
        format!("--- screen\n{}\n--- drawn\n{:#?}", self.lines().join("\n"), self.drawn)
    }

    /// How often a filter drew, and where in the order of all drawings it first and last did.
    pub fn drawings(&self, tool: &str) -> Option<(usize, usize)> {
        let mine = |(line, _): &(String, usize)| line.starts_with(&format!("{tool}: "));
        Some((self.drawn.iter().position(mine)?, self.drawn.iter().rposition(mine)?))
    }
}

#[test]
fn the_model_is_a_terminal() {
    let mut screen = Screen::new(10);
    screen.feed(b"\rtool: 10%\x1b[K\rtool: 9%\x1b[K\r\x1b[Kwarning: long\r\n\rtool: 11%\x1b[K\r\x1b[K");
    assert_eq!(screen.lines(), ["warning: long"]);
    assert_eq!(
        screen.drawn.iter().map(|(line, _)| &**line).collect::<Vec<_>>(),
        ["tool: 10%", "tool: 9%", "tool: 11%"]
    );
    assert_eq!(screen.drawings("tool"), Some((0, 2)));
}
