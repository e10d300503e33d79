use std::fmt;

/// Where each key comes from, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Layers in order; a later one wins.
    pub layers: Vec<String>,
    /// Every key that has a value, in alphabetical order.
    pub keys: Vec<KeySource>,
}

/// Where one key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySource {
    /// The key: `tls.key_path`.
    pub key: String,
    /// File, environment variable or other layer.
    pub source: String,
    /// Line in the file.
    pub line: Option<u32>,
    /// Column in the file.
    pub column: Option<u32>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "layers, later ones win:")?;
        for layer in &self.layers {
            writeln!(f, "  {layer}")?;
        }
        writeln!(f, "keys:")?;
        for key in &self.keys {
            write!(f, "  {}  {}", key.key, key.source)?;
            if let Some(line) = key.line {
                write!(f, ":{line}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
