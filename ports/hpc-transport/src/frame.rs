use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Deadline, Method, Result, StreamName, TransportError};

/// The only version of the frame format there is. A frame of another version is refused, never guessed at.
pub const FRAME_VERSION: u8 = 1;
/// Bytes before the payload: version, kind, two zero bytes, and the payload's length, big endian.
pub const FRAME_HEADER_BYTES: usize = 8;
/// Largest payload of one frame: 4 MiB, the same as the largest unary message.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Opens a unary call; the payload is an [`Opening`].
    Call = 1,
    /// Opens a stream; the payload is an [`Opening`].
    Stream = 2,
    /// Carries the caller's bytes.
    Data = 3,
    /// Ends this direction in failure; the payload is [`TransportError::encode`].
    Error = 4,
    /// Ends this direction in good order; the payload is empty.
    /// A connection that ends without it was cut, and what came before may be half of something.
    End = 5,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Result<Self> {
        match byte {
            1 => Ok(Self::Call),
            2 => Ok(Self::Stream),
            3 => Ok(Self::Data),
            4 => Ok(Self::Error),
            5 => Ok(Self::End),
            other => Err(TransportError::malformed(format!("unknown frame kind {other}"))),
        }
    }
}

/// One length-prefixed unit on a byte stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// At most [`FRAME_PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Bytes,
}

impl Frame {
    /// A frame of this kind and payload.
    ///
    /// # Errors
    /// [`TransportError::TooLarge`] when the payload is over [`FRAME_PAYLOAD_BYTES_MAX`].
    pub fn new(kind: FrameKind, payload: impl Into<Bytes>) -> Result<Self> {
        let payload = payload.into();
        TransportError::check_size(payload.len(), FRAME_PAYLOAD_BYTES_MAX)?;
        Ok(Self { kind, payload })
    }

    /// The empty frame that ends a direction in good order.
    #[must_use]
    pub fn end() -> Self {
        Self { kind: FrameKind::End, payload: Bytes::new() }
    }

    /// The frame that ends a direction with `error`.
    #[must_use]
    pub fn error(error: &TransportError) -> Self {
        Self { kind: FrameKind::Error, payload: error.encode() }
    }

    /// The eight header bytes, for a writer that sends the payload without copying it.
    #[must_use]
    pub fn header(&self) -> [u8; FRAME_HEADER_BYTES] {
        // Cannot truncate: the payload was checked against FRAME_PAYLOAD_BYTES_MAX.
        let [a, b, c, d] = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        [FRAME_VERSION, self.kind as u8, 0, 0, a, b, c, d]
    }

    /// Header and payload in one buffer.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_HEADER_BYTES + self.payload.len());
        out.put_slice(&self.header());
        out.put_slice(&self.payload);
        out.freeze()
    }
}

/// Turns bytes, cut anywhere, back into frames.
///
/// Take every frame with [`FrameDecoder::next_frame`] before pushing more: then it holds at most one
/// unfinished frame and the chunk just pushed. Nothing is reserved on the word of a length alone.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// A decoder with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes of an unfinished frame are waiting: an end here is a cut, not an end.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole frame, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`TransportError::Malformed`] for another version, an unknown kind or reserved bytes that are not zero,
    /// [`TransportError::TooLarge`] for a length over [`FRAME_PAYLOAD_BYTES_MAX`]. The stream cannot be read on after either.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(header) = self.buffer.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(None);
        };
        let [version, kind, reserved_a, reserved_b, a, b, c, d] = *header;
        if version != FRAME_VERSION {
            return Err(TransportError::malformed(format!(
                "frame version {version}, this end speaks {FRAME_VERSION}"
            )));
        }
        let kind = FrameKind::from_byte(kind)?;
        if (reserved_a, reserved_b) != (0, 0) {
            return Err(TransportError::malformed("reserved frame bytes are not zero"));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        TransportError::check_size(length, FRAME_PAYLOAD_BYTES_MAX)?;
        if kind == FrameKind::End && length != 0 {
            return Err(TransportError::malformed("an end frame carries no payload"));
        }
        if self.buffer.len() < FRAME_HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER_BYTES);
        Ok(Some(Frame { kind, payload: self.buffer.split_to(length).freeze() }))
    }
}

/// What the first frame of a call or stream says: the time left and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Time left when it was sent, in whole microseconds on the wire; `None` is "no deadline", which only streams may have.
    pub budget: Option<Duration>,
    /// A method path or a stream name.
    pub name: String,
}

const NO_BUDGET: u64 = u64::MAX;

impl Opening {
    /// Opens a call of `method` that has until `deadline`, seen at `now`.
    #[must_use]
    pub fn call(method: &Method, deadline: Deadline, now: std::time::Instant) -> Self {
        Self { budget: Some(deadline.remaining(now)), name: method.path().to_owned() }
    }

    /// Opens the stream `name`, which has no deadline.
    #[must_use]
    pub fn stream(name: &StreamName) -> Self {
        Self { budget: None, name: name.as_str().to_owned() }
    }

    /// The payload bytes: the budget as eight bytes, big endian, then the name.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let micros = self
            .budget
            .map_or(NO_BUDGET, |budget| u64::try_from(budget.as_micros()).unwrap_or(NO_BUDGET - 1));
        let mut out = BytesMut::with_capacity(8 + self.name.len());
        out.put_u64(micros);
        out.put_slice(self.name.as_bytes());
        out.freeze()
    }

    /// Reads a payload made by [`Opening::encode`]. The name is not yet checked: give it to [`Method::parse`] or [`StreamName::parse`].
    ///
    /// # Errors
    /// [`TransportError::Malformed`].
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let Some((micros, name)) = payload.split_first_chunk::<8>() else {
            return Err(TransportError::malformed("opening frame is shorter than its budget"));
        };
        let micros = u64::from_be_bytes(*micros);
        if name.len() > crate::METHOD_BYTES_MAX {
            return Err(TransportError::malformed("opening frame names more than 256 bytes"));
        }
        let name = std::str::from_utf8(name)
            .map_err(|_| TransportError::malformed("opening frame name is not UTF-8"))?;
        Ok(Self {
            budget: (micros != NO_BUDGET).then(|| Duration::from_micros(micros)),
            name: name.to_owned(),
        })
    }
}
