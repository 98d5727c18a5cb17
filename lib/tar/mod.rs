//! Reading every tar dialect (I rules) and writing the canonical one (T rules).
