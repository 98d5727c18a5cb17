//! Of any header the best challenge is found or none; a bearer challenge, quoted and written again, is found as the same
//! one, alone and behind a basic one.

use oci2ext4::registry::Challenge;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let found = Challenge::best(text.lines());
    let Some(Challenge::Bearer { realm, service, scope }) = &found else { return };
    assert!([service, scope].into_iter().flatten().all(|value| !value.is_empty()), "{found:?}");
    let named = [("scope", scope.as_ref()), ("realm", Some(realm)), ("service", service.as_ref())];
    let quote =
        |(name, value): (&str, &str)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let params: Vec<_> = named.into_iter().filter_map(|(name, value)| Some(quote((name, value?)))).collect();
    let written = format!("bearer {}", params.join(", "));
    assert_eq!(Challenge::best([written.as_str()].into_iter()), found, "{written}");
    assert_eq!(Challenge::best(["Basic realm=\"x\"", &written].into_iter()), found, "{written}");
    let one_line = format!("Basic realm=\"x\", {written}");
    assert_eq!(Challenge::best([one_line.as_str()].into_iter()), found, "{one_line}");
}
