use std::fmt;
use std::str::FromStr;

/// The `traceparent` of W3C Trace Context, version 00: which trace a call belongs to.
///
/// It comes from the other side and proves nothing: use it to join spans, never to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

/// Why a text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("trace context is not of the form `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`")]
pub struct TraceParentError;

impl TraceParent {
    /// A context; `None` when one of the ids is all zeros, which the standard forbids.
    #[must_use]
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], sampled: bool) -> Option<Self> {
        let fits = trace_id != [0; 16] && parent_id != [0; 8];
        fits.then_some(Self { trace_id, parent_id, flags: u8::from(sampled) })
    }

    /// Id of the whole trace.
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// Id of the span that made the call.
    #[must_use]
    pub const fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller records the trace.
    #[must_use]
    pub const fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The context for a call made within a span of one's own.
    #[must_use]
    pub fn child(&self, parent_id: [u8; 8]) -> Option<Self> {
        Self::new(self.trace_id, parent_id, self.sampled())
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Higher versions are read as far as version 00 goes, as the standard asks.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        const VERSION_00_BYTES: usize = 55;
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(TraceParentError);
        let [version] = hex(next()?)?;
        let trace_id = hex(next()?)?;
        let parent_id = hex(next()?)?;
        let [flags]: [u8; 1] = hex(next()?)?;
        let whole = match version {
            0 => text.len() == VERSION_00_BYTES,
            0xff => false,
            _ => true,
        };
        if !whole {
            return Err(TraceParentError);
        }
        Self::new(trace_id, parent_id, flags & 1 == 1).ok_or(TraceParentError)
    }
}

/// Lower-case digits only, as the standard asks.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], TraceParentError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(TraceParentError),
    };
    if text.len() != 2 * N {
        return Err(TraceParentError);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(TraceParentError) };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        for byte in self.trace_id {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("-")?;
        for byte in self.parent_id {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{:02x}", self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example_goes_there_and_back() {
        let context: TraceParent = GOOD.parse().unwrap();
        assert!(context.sampled());
        assert_eq!(context.to_string(), GOOD);
        let child = context.child([1; 8]).unwrap();
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0101010101010101-01");
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(TraceParentError), "{text}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what-comes";
        assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), GOOD);
    }
}
