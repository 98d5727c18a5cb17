//! Challenges in `WWW-Authenticate` headers (RFC 9110, 11.6.1; distribution spec `token.md`).
//!
//! They are parsed as generously as by Go's clients, by this grammar, in which nothing is an error:
//!
//! ```text
//! header    = *( challenge | separator )
//! challenge = word *( separator | parameter )            ; the word is the scheme
//! parameter = word blanks "=" blanks value
//! value     = quoted | words                             ; words end at a separator, or at the next parameter's name
//! quoted    = DQUOTE *( any but DQUOTE | "\\" any ) [ DQUOTE ]
//! separator = blank | "," | ";"
//! ```

/// A challenge that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The address of the token server.
        realm: String,
        /// The server's name for itself.
        service: Option<String>,
        /// The scopes that the token must have.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best of the challenges in a response's headers: Bearer rather than Basic.
    #[must_use]
    pub fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            for (scheme, parameters) in challenges(header) {
                let filled = |name: &str| {
                    let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
                };
                if scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(realm) = filled("realm") {
                        let (service, scope) = (filled("service"), filled("scope"));
                        return Some(Self::Bearer { realm, service, scope });
                    }
                } else if scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

/// A scheme with its parameters.
type Raw<'a> = (&'a str, Vec<(&'a str, String)>);

/// The challenges of a header, in order.
fn challenges(header: &str) -> Vec<Raw<'_>> {
    let mut found: Vec<Raw<'_>> = Vec::new();
    let mut rest = header.trim_start_matches(is_separator);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(is_word_end).unwrap_or(rest.len()));
        match after.trim_start().strip_prefix('=') {
            Some(after) => {
                let (value, after) = value(after.trim_start());
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word, value));
                }
                rest = after;
            }
            None => {
                if !word.is_empty() {
                    found.push((word, Vec::new()));
                }
                // Skip what ends a word but is not a separator: a stray quotation mark.
                let stray = if word.is_empty() { after.chars().next().map_or(0, char::len_utf8) } else { 0 };
                rest = &after[stray..];
            }
        }
        rest = rest.trim_start_matches(is_separator);
    }
    found
}

/// The value of a parameter, and the text after it.
fn value(text: &str) -> (String, &str) {
    if let Some(text) = text.strip_prefix('"') {
        let (mut value, mut escaped) = (String::new(), false);
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => value.push(c),
                '"' => return (value, &text[at + 1..]),
                '\\' => {}
                _ => value.push(c),
            }
            escaped = c == '\\' && !escaped;
        }
        return (value, "");
    }
    // A word before an equals sign is the name of the next parameter. Nothing is looked for beyond that: there may be many.
    let mut end = 0;
    loop {
        let rest = &text[end..];
        let word = rest.trim_start();
        let blanks = rest.len() - word.len();
        if word.is_empty() || word.starts_with([',', ';']) {
            break;
        }
        let (name, after) = word.split_at(word.find(is_word_end).unwrap_or(word.len()));
        if blanks > 0 && !name.is_empty() && after.trim_start().starts_with('=') {
            break;
        }
        let stray = after.chars().next().filter(|c| matches!(c, '=' | '"')).map_or(0, char::len_utf8);
        end += blanks + name.len() + stray;
    }
    (text[..end].to_owned(), &text[end..])
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';')
}

fn is_word_end(c: char) -> bool {
    is_separator(c) || matches!(c, '=' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_goes_before_basic_wherever_it_stands() {
        let best = |headers: &[&str]| Challenge::best(headers.iter().copied());
        assert_eq!(best(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(best(&["basic"]), Some(Challenge::Basic));
        let bearer = "bearer Realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\",error=\"\"";
        let expected = Challenge::Bearer {
            realm: "https://a/t".into(),
            service: Some("s".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        for headers in [
            vec![bearer],
            vec!["Basic realm=\"x\"", bearer],
            vec!["Basic realm=\"x\", Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\""],
        ] {
            assert_eq!(best(&headers), Some(expected.clone()), "{headers:?}");
        }
        for none in ["", "Digest realm=\"x\"", "Bearer", "Bearer realm", "\u{7f}"] {
            assert_eq!(best(&[none]), None, "{none:?}");
        }
    }
    #[test]
    fn an_address_without_quotes_keeps_its_query() {
        for header in ["Bearer realm=https://a/t?b=c&d=e,service=s", "Bearer realm=https://a/t?b=c&d=e service=s"] {
            let realm = "https://a/t?b=c&d=e".into();
            let expected = Challenge::Bearer { realm, service: Some("s".into()), scope: None };
            assert_eq!(Challenge::best([header].into_iter()), Some(expected), "{header}");
        }
    }

    #[test]
    fn what_gos_clients_understand_is_understood() {
        let best = |header: &str| Challenge::best([header].into_iter());
        for basic in [
            "Basic realm=/",
            "Basic realm=Sonatype Nexus Repository Manager",
            "Basic realm=a  \"b = c , Other=x;",
            "Basic realm=\"Gesch\u{fc}tzter Bereich\"",
            "Basic realm=",
            "Basic realm=\"x",
            "Basic realm=\"a \\\" b\", charset=\"UTF-8\"",
            "Basic , realm=\"x\"",
            ", Basic",
            "Negotiate, Basic realm=\"x\"",
            "Negotiate oQcwBaADCgEAoQsGCSqGSIL3EgECAg==, Basic",
            "Bearer realm=\"\", Basic realm=x",
        ] {
            assert_eq!(best(basic), Some(Challenge::Basic), "{basic}");
        }
        for bearer in [
            "Bearer realm=\"https://a/t\" service=\"s t\" scope=\"repository:a/b:pull\"",
            "Bearer realm=\"https://a/t\";service=\"s t\";scope=\"repository:a/b:pull\"",
            "Bearer realm=https://a/t,service=s t,scope=repository:a/b:pull",
            "Bearer realm=https://a/t service=s t scope=repository:a/b:pull",
            "Bearer realm = \"https://a/t\" , service = \"s t\" , scope = \"repository:a/b:pull\"",
            "BEARER Realm=\"https://a/t\",title=\"Zugang f\u{fc}r alle\",SERVICE=\"s\\ t\",scope=\"repository:a/b:pull",
            "Basic realm=old one, Bearer realm=\"https://a/t\",service=\"s t\",scope=\"repository:a/b:pull\"",
        ] {
            let (realm, service, scope) =
                ("https://a/t".into(), Some("s t".into()), Some("repository:a/b:pull".into()));
            assert_eq!(best(bearer), Some(Challenge::Bearer { realm, service, scope }), "{bearer}");
        }
    }
}
