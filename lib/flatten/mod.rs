//! Layers to one canonical tar stream: the adapter between codec, tar and tree (F and T rules).
