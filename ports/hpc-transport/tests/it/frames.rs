use std::time::{Duration, Instant};

use hpc_transport::{
    Deadline, FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX, Frame, FrameDecoder, FrameKind, Method, Opening,
    StreamName, TransportError,
};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = FrameKind> {
    prop_oneof![Just(FrameKind::Call), Just(FrameKind::Stream), Just(FrameKind::Data), Just(FrameKind::Error)]
}

proptest! {
    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec((kind(), prop::collection::vec(any::<u8>(), 0..200)), 1..8),
        step in 1usize..40,
    ) {
        let frames: Vec<Frame> = frames.into_iter().map(|(kind, payload)| Frame::new(kind, payload).unwrap()).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().to_vec()).collect();
        let mut decoder = FrameDecoder::new();
        let mut seen = Vec::new();
        for chunk in bytes.chunks(step) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame().unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert!(!decoder.is_inside_frame());
    }

    #[test]
    fn any_bytes_give_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
        let _ = Opening::decode(&bytes);
        let _ = TransportError::decode(&bytes);
    }

    #[test]
    fn openings_survive_the_wire(micros in prop::option::of(0u64..86_400_000_000), name in "[a-z./]{0,40}") {
        let opening = Opening { budget: micros.map(Duration::from_micros), name };
        prop_assert_eq!(Opening::decode(&opening.encode()).unwrap(), opening);
    }
}

#[test]
fn the_bytes_of_a_frame_are_these() {
    let frame = Frame::new(FrameKind::Data, "hi").unwrap();
    assert_eq!(frame.encode().as_ref(), b"\x01\x03\0\0\0\0\0\x02hi");
    assert_eq!(Frame::end().encode().as_ref(), b"\x01\x05\0\0\0\0\0\0");
}

#[test]
fn a_payload_over_the_limit_is_refused_on_both_sides() {
    let expected = TransportError::TooLarge {
        bytes: FRAME_PAYLOAD_BYTES_MAX as u64 + 1,
        max: FRAME_PAYLOAD_BYTES_MAX as u64,
    };
    assert_eq!(Frame::new(FrameKind::Data, vec![0; FRAME_PAYLOAD_BYTES_MAX + 1]).unwrap_err(), expected);
    let mut header = [1, 3, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&(FRAME_PAYLOAD_BYTES_MAX as u32 + 1).to_be_bytes());
    let mut decoder = FrameDecoder::new();
    decoder.push(&header); // the length alone is enough: no payload has to arrive first
    assert_eq!(decoder.next_frame().unwrap_err(), expected);
    assert!(Frame::new(FrameKind::Data, vec![0; FRAME_PAYLOAD_BYTES_MAX]).is_ok());
}

#[test]
fn bad_headers_are_refused() {
    for (bytes, expected) in [
        ([2, 3, 0, 0, 0, 0, 0, 0], "frame version 2, this end speaks 1"),
        ([1, 9, 0, 0, 0, 0, 0, 0], "unknown frame kind 9"),
        ([1, 0, 0, 0, 0, 0, 0, 0], "unknown frame kind 0"),
        ([1, 3, 1, 0, 0, 0, 0, 0], "reserved frame bytes are not zero"),
        ([1, 5, 0, 0, 0, 0, 0, 1], "an end frame carries no payload"),
    ] {
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        let TransportError::Malformed { reason } = decoder.next_frame().unwrap_err() else {
            panic!("{expected}")
        };
        assert_eq!(reason, expected);
    }
}

#[test]
fn half_a_frame_is_no_frame() {
    let bytes = Frame::new(FrameKind::Data, "hello").unwrap().encode();
    let mut decoder = FrameDecoder::new();
    decoder.push(&bytes[..FRAME_HEADER_BYTES + 4]);
    assert_eq!(decoder.next_frame().unwrap(), None);
    assert!(decoder.is_inside_frame());
}

#[test]
fn an_opening_carries_the_time_left() {
    let now = Instant::now();
    let method = Method::parse("/a.B/C").unwrap();
    let opening = Opening::call(&method, Deadline::after(now, Duration::from_millis(5)), now);
    assert_eq!(opening.budget, Some(Duration::from_millis(5)));
    assert_eq!(Opening::stream(&StreamName::parse("telemetry.v1").unwrap()).budget, None);
    for bad in [&b""[..], b"1234567", &[255; 10], &[b'a'; 300]] {
        assert!(matches!(Opening::decode(bad), Err(TransportError::Malformed { .. })));
    }
}
