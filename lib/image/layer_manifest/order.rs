use super::record::{DIRECTORY_MEDIA_TYPE, Record, VERSION};
use crate::image::document::MAX_LAYERS;

/// How far a manifest has come, and thus which records may follow (M3).
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordOrder {
    Start,
    Layers { seen: u32, of: u32 },
    End,
}

impl RecordOrder {
    /// How far it has come with `record`; an error says why that record must not come here.
    pub(super) fn after(self, record: &Record) -> Result<Self, String> {
        match (self, record) {
            (Self::Start, Record::Image(image)) if image.version != VERSION => {
                Err(format!("version {} is not known here, only {VERSION} is", image.version))
            }
            (Self::Start, Record::Image(image)) if u64::from(image.layers) > MAX_LAYERS as u64 => {
                Err(format!("{} layers are too many, at most {MAX_LAYERS} are read", image.layers))
            }
            (Self::Start, Record::Image(image)) => Ok(Self::Layers { seen: 0, of: image.layers }),
            (Self::Start | Self::Layers { .. }, Record::Arriving(_)) => Ok(self),
            (Self::Start, _) => Err("the 'image' record must come first".into()),
            (Self::Layers { .. }, Record::Image(_)) => Err("a second 'image' record".into()),
            (Self::Layers { seen, of }, Record::Fetching(layer)) if !(seen..of).contains(&layer.index) => {
                Err(format!("layer {} is being fetched, but layers {seen} to {of} are due", layer.index))
            }
            (Self::Layers { .. }, Record::Fetching(layer)) if layer.digest.is_none() => {
                Err(format!("layer {} has no digest", layer.index))
            }
            (Self::Layers { .. }, Record::Fetching(_)) => Ok(self),
            (Self::Layers { seen, of }, Record::Layer(layer)) if seen >= of || layer.index != seen => {
                Err(format!("layer {} stands where layer {seen} of {of} is due", layer.index))
            }
            (Self::Layers { seen, .. }, Record::Layer(layer))
                if layer.digest.is_none() && layer.media_type != DIRECTORY_MEDIA_TYPE =>
            {
                Err(format!("layer {seen} has no digest"))
            }
            (Self::Layers { seen, of }, Record::Layer(_)) => Ok(Self::Layers { seen: seen + 1, of }),
            (Self::Layers { seen, of }, Record::End) if seen != of => Err(format!("'end' after {seen} of {of} layers")),
            (Self::Layers { .. }, Record::End) => Ok(Self::End),
            (Self::End, _) => Err("a record after 'end'".into()),
        }
    }
}
