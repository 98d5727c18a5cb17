//! What a server asks for with `WWW-Authenticate` (RFC 7235, distribution spec `token.md`).

use http_auth::parser::ChallengeParser;

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// Address of the token server.
        realm: String,
        /// What the server calls itself.
        service: Option<String>,
        /// What the token must allow, as scopes.
        scope: Option<String>,
        /// Why the last token was refused (`invalid_token`, `insufficient_scope`).
        error: Option<String>,
    },
}

impl Challenge {
    /// The best of the challenges in the values of a response's headers: Bearer before Basic.
    #[must_use]
    pub fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            for challenge in ChallengeParser::new(header).map_while(Result::ok) {
                let param = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(realm) = param("realm") {
                        let filled = |name| param(name).filter(|value| !value.is_empty());
                        let (service, scope, error) = (filled("service"), filled("scope"), filled("error"));
                        return Some(Self::Bearer { realm, service, scope, error });
                    }
                } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
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
            error: None,
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
}
