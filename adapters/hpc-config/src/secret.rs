use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use zeroize::Zeroizing;

/// A text that nobody may see: no `Debug`, no `Display`, no `Serialize`, and wiped from memory when dropped.
///
/// A struct that holds one cannot derive `Debug` by accident:
///
/// ```compile_fail
/// #[derive(Debug)]
/// struct Config { token: hpc_config::Secret }
/// ```
///
/// ```compile_fail
/// #[derive(serde::Serialize)]
/// struct Config { token: hpc_config::Secret }
/// ```
///
/// It is read from text only; `123456` in a file must be written `"123456"`.
/// In the environment everything is text.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.to_owned()))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}
