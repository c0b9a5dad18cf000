//! What a stranger can put on the wire: every frame cut, stretched and damaged.

use super::{
    decoder::{BIG_BYTES, GROWTH_BYTES},
    encoding::decode,
    *,
};

const BYTES_MAX: usize = 4096;

/// One frame of each kind.
fn all() -> Vec<Frame<'static>> {
    vec![
        Frame::Hello(Hello {
            protocol_min: 1,
            protocol_max: 2,
            cluster: "cluster",
            from_name: "a",
            from_boot: 1,
            to_name: "b",
            to_boot: u64::MAX,
            link: 300,
            lane: Lane::Bulk,
            message_bytes_max: 1 << 24,
            challenge: [9; 32],
        }),
        Frame::Welcome {
            body: &[1, 2, 3],
            proof: &[4; 40],
        },
        Frame::Confirm { proof: &[5; 40] },
        Frame::Refuse {
            reason: Refusal::WrongKey,
        },
        Frame::Open {
            channel: 7,
            target: "workers/1",
            message: "words",
            version: 3,
        },
        Frame::Close { channel: 7 },
        Frame::Closed { channel: 7 },
        Frame::Tell {
            channel: 70_000,
            payload: &[0; 100],
        },
        Frame::TellWith {
            channel: 7,
            context: WireContext {
                remaining_us: Some(1_500_000),
                criticality: 2,
                attempt: 1,
                request_id: 12,
                trace_parent: Some("00-ab-cd-01"),
                delivery: Some(WireDelivery {
                    boot: 1 << 60,
                    delivery: 4,
                    number: 5,
                }),
            },
            payload: b"payload",
        },
        Frame::Credit {
            channel: 7,
            messages: 32,
            bytes: 1 << 40,
        },
        Frame::Nack {
            channel: 7,
            sequence: 9,
            reason: Nack::Undecodable,
        },
        Frame::OpenRefused {
            channel: 7,
            reason: OpenRefusal::WrongVersion { takes: 2 },
        },
        Frame::Reply {
            number: 5,
            payload: b"answer",
        },
        Frame::ReplyError {
            number: 5,
            error: NoAnswer::TooLarge { bytes: 1 << 33 },
        },
        Frame::Monitor {
            number: 6,
            target: "workers/1",
        },
        Frame::Demonitor { number: 6 },
        Frame::Down {
            number: 6,
            exit: WireExit {
                incarnation: Some(4),
                restart_follows: true,
                missed: 2,
                kind: "failed",
                text: "disk on fire",
            },
        },
        Frame::Ping,
        Frame::Goodbye,
        Frame::TellBegin {
            channel: 3,
            bytes: 100_000,
            context: Some(WireContext {
                remaining_us: Some(5),
                ..WireContext::default()
            }),
        },
        Frame::Fragment {
            channel: 3,
            payload: b"part of a message",
        },
        Frame::ReplyBegin {
            number: 9,
            bytes: 70_000,
        },
        Frame::ReplyFragment {
            number: 9,
            payload: b"part of an answer",
        },
    ]
}

fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, frame);
    bytes
}

fn decoder_with(bytes: &[u8]) -> Decoder {
    let mut decoder = Decoder::new();
    decoder.feed(bytes);
    decoder
}

/// A plain generator: what it finds is found again from its seed.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

#[test]
fn every_kind_arrives_as_it_left_and_has_its_number_for_ever() {
    for (kind, frame) in all().iter().enumerate() {
        let bytes = bytes_of(frame);
        assert_eq!(usize::from(bytes[LENGTH_BYTES + 1]), kind, "{frame:?}");
        let mut decoder = decoder_with(&bytes);
        assert_eq!(decoder.next(BYTES_MAX), Ok(Some(frame.clone())));
        assert_eq!(decoder.next(BYTES_MAX), Ok(None));
    }
    assert_eq!(all().len(), usize::from(KINDS));
}

#[test]
fn frames_are_found_however_the_stream_is_cut() {
    let frames = all();
    let stream: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
    for piece in [1, 2, 3, 7, 64, stream.len()] {
        let mut decoder = Decoder::new();
        let mut found = 0;
        for bytes in stream.chunks(piece) {
            decoder.feed(bytes);
            while let Some(frame) = decoder.next(BYTES_MAX).unwrap() {
                assert_eq!(frame, frames[found]);
                found += 1;
            }
        }
        assert_eq!(found, frames.len(), "in pieces of {piece}");
    }
}

/// Small frames, long ones, and the longest, in an order that has each behind each.
fn of_all_lengths() -> Vec<Vec<u8>> {
    let lengths = [
        BIG_BYTES,
        5,
        5,
        FRAME_BYTES_MAX - 20,
        FRAME_BYTES_MAX - 20,
        BIG_BYTES / 2,
        3 * BIG_BYTES,
        0,
    ];
    let payload = |(n, length)| vec![n; length];
    (0..).zip(lengths).map(payload).collect()
}

fn stream_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    let frame = |payload| {
        bytes_of(&Frame::Tell {
            channel: 1,
            payload,
        })
    };
    payloads.iter().flat_map(|payload| frame(payload)).collect()
}

#[test]
fn long_frames_have_memory_of_their_own_however_the_stream_is_cut_and_it_is_used_again() {
    let payloads = of_all_lengths();
    let stream = stream_of(&payloads);
    for piece in [1, 1000, 2 * BIG_BYTES + 1, 7 * BIG_BYTES, stream.len()] {
        let mut decoder = Decoder::new();
        let (mut found, mut kept) = (0, Vec::new());
        for bytes in stream.chunks(piece) {
            decoder.feed(bytes);
            while let Some((frame, memory)) = decoder.next_with_memory(FRAME_BYTES_MAX).unwrap() {
                let payload = &payloads[found][..];
                assert_eq!(
                    frame,
                    Frame::Tell {
                        channel: 1,
                        payload
                    }
                );
                if let Some(memory) = memory {
                    assert!(memory.len() >= BIG_BYTES && memory.ends_with(payload));
                    // One of two is kept, and is what it was when others have come.
                    if found % 2 == 0 {
                        kept.push((found, memory.clone()));
                    }
                }
                found += 1;
            }
        }
        assert_eq!(found, payloads.len(), "in pieces of {piece}");
        if piece < BIG_BYTES {
            assert_eq!(kept.len(), 3, "of the long ones");
        }
        assert!(
            kept.iter()
                .all(|(n, memory)| memory.ends_with(&payloads[*n]))
        );
    }
}

#[tokio::test]
async fn what_is_read_is_not_read_past_a_long_frame_and_ends_with_the_stream() {
    let payloads = of_all_lengths();
    let stream = stream_of(&payloads);
    let (mut rest, mut decoder, mut found) = (&stream[..], Decoder::new(), 0);
    loop {
        while let Some(frame) = decoder.next(FRAME_BYTES_MAX).unwrap() {
            let payload = &payloads[found][..];
            assert_eq!(
                frame,
                Frame::Tell {
                    channel: 1,
                    payload
                }
            );
            found += 1;
        }
        if decoder.read_from(&mut rest).await.unwrap() == 0 {
            break;
        }
    }
    assert_eq!(found, payloads.len());
    assert!(!decoder.has_part());
}

#[test]
fn a_long_frame_that_is_longer_than_is_allowed_here_is_refused() {
    let stream = stream_of(&[vec![0; 2 * BIG_BYTES]]);
    let mut decoder = decoder_with(&stream[..100]);
    decoder.feed(&stream[100..]);
    assert!(matches!(
        decoder.next(HANDSHAKE_FRAME_BYTES_MAX),
        Err(FrameError::TooLong { .. })
    ));
}

#[test]
fn every_truncation_is_no_frame_yet_or_a_typed_error() {
    for frame in all() {
        let bytes = bytes_of(&frame);
        for length in 0..bytes.len() {
            assert_eq!(
                decoder_with(&bytes[..length]).next(BYTES_MAX),
                Ok(None),
                "{frame:?} cut to {length}"
            );
            // The same, with a length that fits what is there.
            let Some(body_bytes) = length.checked_sub(LENGTH_BYTES) else {
                continue;
            };
            let mut cut = bytes[..length].to_vec();
            cut[..LENGTH_BYTES].copy_from_slice(&(body_bytes as u32).to_le_bytes());
            let result = decoder_with(&cut).next(BYTES_MAX).map(drop);
            assert!(
                matches!(
                    result,
                    Err(FrameError::TooShort | FrameError::Malformed { .. })
                ),
                "{frame:?} cut to {length}: {result:?}"
            );
        }
    }
}

#[test]
fn bytes_behind_a_body_are_an_error() {
    for frame in all() {
        let mut bytes = bytes_of(&frame);
        bytes.push(0);
        let length = (bytes.len() - LENGTH_BYTES) as u32;
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        let kind = bytes[LENGTH_BYTES + 1];
        assert_eq!(
            decoder_with(&bytes).next(BYTES_MAX),
            Err(FrameError::Malformed { kind })
        );
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_anything_is_allocated_for_it() {
    for bytes in [BYTES_MAX + 1, 1 << 31, u32::MAX as usize] {
        let mut decoder = decoder_with(&(bytes as u32).to_le_bytes());
        assert_eq!(
            decoder.next(BYTES_MAX),
            Err(FrameError::TooLong {
                bytes,
                bytes_max: BYTES_MAX
            })
        );
    }
    // A length within the limit that is never kept costs no more than what was sent.
    let mut decoder = decoder_with(&(1u32 << 30).to_le_bytes());
    assert_eq!(decoder.next(1 << 30), Ok(None));
    decoder.feed(&[]);
    assert!(decoder.capacity() <= 2 * GROWTH_BYTES);
}

#[test]
fn an_unknown_kind_or_framing_is_named() {
    let mut bytes = bytes_of(&Frame::Ping);
    bytes[LENGTH_BYTES + 1] = KINDS;
    assert_eq!(
        decoder_with(&bytes).next(BYTES_MAX),
        Err(FrameError::UnknownKind { kind: KINDS })
    );
    bytes[LENGTH_BYTES] = 9;
    assert_eq!(
        decoder_with(&bytes).next(BYTES_MAX),
        Err(FrameError::Framing { found: 9 })
    );
}

#[test]
fn a_payload_that_claims_to_be_longer_than_its_frame_is_malformed() {
    let mut bytes = bytes_of(&Frame::Tell {
        channel: 1,
        payload: &[0; 3],
    });
    // The length of the payload, after framing, kind and channel.
    bytes[LENGTH_BYTES + 3] = 100;
    assert_eq!(
        decoder_with(&bytes).next(BYTES_MAX),
        Err(FrameError::Malformed { kind: 7 })
    );
}

#[test]
fn flipped_bits_and_noise_never_panic_and_never_take_memory() {
    const SEED: u64 = 0x7265_6d6f_7465;
    println!("seed {SEED:#x}");
    let mut random = SplitMix(SEED);
    let frames = all();
    for _ in 0..50_000 {
        let mut bytes = if random.below(4) == 0 {
            (0..random.below(200))
                .map(|_| random.below(256) as u8)
                .collect()
        } else {
            bytes_of(&frames[random.below(frames.len())])
        };
        for _ in 0..=random.below(4) {
            if !bytes.is_empty() {
                let bit = random.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let mut decoder = decoder_with(&bytes);
        // Until nothing is left or the stream is found to be broken.
        while let Ok(Some(frame)) = decoder.next(BYTES_MAX) {
            let _ = format!("{frame:?}");
        }
        assert!(decoder.capacity() <= 2 * GROWTH_BYTES);
    }
}

#[test]
fn heads_that_are_written_out_are_what_the_encoder_writes() {
    for bytes in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
        for number in [0, 1, 127, 128, 1 << 14, 1 << 28, u32::MAX] {
            let payload = &vec![7; bytes][..];
            let wide = u64::from(number) << 20;
            let channel = number;
            let check = |frame: Frame<'_>, head: &dyn Fn(&mut Vec<u8>)| {
                let mut written = Vec::new();
                head(&mut written);
                written.extend_from_slice(payload);
                assert_eq!(written, bytes_of(&frame), "{number} {bytes}");
                assert_eq!(decode(&written[LENGTH_BYTES..]), Ok(frame));
            };
            check(Frame::Tell { channel, payload }, &|out| {
                encode_tell_head(out, channel, bytes);
            });
            check(Frame::Fragment { channel, payload }, &|out| {
                encode_fragment_head(out, channel, bytes);
            });
            let number = wide;
            check(Frame::ReplyFragment { number, payload }, &|out| {
                encode_reply_fragment_head(out, number, bytes);
            });
        }
    }
}
