//! HTTP/1.1 on a stream: reading a request, writing a reply.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::thread;
use std::time::Instant;

use super::http::{Ending, Framing, Reply, Request};

/// What happens to the connection after a reply.
#[derive(PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
    /// It stays open and silent until the client gives up.
    Hang,
}

/// The next request; `None` when the client closed the connection.
pub(super) fn read_request(stream: &mut impl BufRead, secure: bool) -> io::Result<Option<Request>> {
    let Some(line) = read_line(stream)? else { return Ok(None) };
    let at = Instant::now();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        // TLS, most likely, whose first message always has a line end somewhere.
        return Err(ErrorKind::InvalidData.into());
    }
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: String::new(),
        at,
        secure,
        certificate: false,
    };
    while let Some(line) = read_line(stream)? {
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = request.header("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if stream.take(64 << 10).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// Sends `reply`; to a HEAD request without its body.
pub(super) fn send(stream: &mut impl Write, reply: &Reply, head: bool) -> io::Result<After> {
    if matches!(reply.ending, Ending::Never) {
        return Ok(After::Hang);
    }
    thread::sleep(reply.delay);
    let (start, end) = reply.range;
    let mut text = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let has_body = !matches!(reply.status, 204 | 304);
    let mut after = After::KeepAlive;
    match reply.framing {
        Framing::Length if has_body => text += &format!("Content-Length: {}\r\n", end - start),
        Framing::Length => {}
        Framing::Claims(length) => {
            text += &format!("Content-Length: {length}\r\n");
            after = After::Close;
        }
        Framing::Chunked => text += "Transfer-Encoding: chunked\r\n",
        Framing::UntilClose => {
            text += "Connection: close\r\n";
            after = After::Close;
        }
    }
    text += "\r\n";
    // Header values may be any bytes: a char up to U+00FF stands for its byte.
    let head_bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    stream.write_all(&head_bytes)?;
    if head || !has_body {
        stream.flush()?;
        return Ok(after);
    }
    let stop = match reply.ending {
        Ending::Whole | Ending::Never => end,
        Ending::CutAt(bytes) | Ending::StallAt(bytes) => end.min(start + bytes),
    };
    let chunked = matches!(reply.framing, Framing::Chunked);
    let mut at = start;
    while at < stop {
        let piece = reply.body.piece(at);
        let most = reply.pause.map_or(u64::MAX, |(bytes, _)| bytes).min(stop - at);
        let piece = piece.get(..most as usize).unwrap_or(piece);
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        }
        stream.write_all(piece)?;
        if chunked {
            stream.write_all(b"\r\n")?;
        }
        at += piece.len() as u64;
        if let Some((_, pause)) = reply.pause {
            stream.flush()?;
            thread::sleep(pause);
        }
    }
    if chunked && matches!(reply.ending, Ending::Whole) {
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()?;
    Ok(match reply.ending {
        Ending::Whole => after,
        Ending::CutAt(_) => After::Close,
        Ending::StallAt(_) | Ending::Never => After::Hang,
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Whatever",
    }
}
