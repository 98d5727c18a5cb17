//! JSON as Go's `encoding/json` reads it into a struct: field names match in any case, with preference for an exact match.

use serde_json::{Map, Value};

/// The value of a field; `null` counts as missing.
pub(super) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = object.get(name);
    let found =
        exact.or_else(|| object.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// The text of a field; an empty one counts as missing.
///
/// # Errors
/// When it is not text.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, NoText> {
    match field(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(NoText),
    }
}

/// A field is not text.
#[derive(Debug)]
pub(super) struct NoText;
