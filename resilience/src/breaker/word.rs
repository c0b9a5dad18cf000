//! The state of a breaker in one atomic word, so that a call is admitted or rejected by one load.
//!
//! From the top: state 3 bits, generation 13, permits 10, time 38. The generation changes with every change of state, so
//! that a late outcome is known as late (after exactly 8192 changes it would be taken for a current one). The time is in
//! milliseconds since the breaker's first instant, and stops after 8.7 years: then a breaker that opens is probed at once.

use super::State;

const TIME_BITS: u32 = 38;
const PERMIT_BITS: u32 = 10;
const GENERATION_BITS: u32 = 13;

const PERMIT_SHIFT: u32 = TIME_BITS;
const GENERATION_SHIFT: u32 = PERMIT_SHIFT + PERMIT_BITS;
const STATE_SHIFT: u32 = GENERATION_SHIFT + GENERATION_BITS;

pub(super) const TIME_MS_MAX: u64 = (1 << TIME_BITS) - 1;
pub(super) const PERMITS_MAX: u32 = (1 << PERMIT_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// One value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Closed, in generation 0.
    pub(super) const CLOSED: Word = Word(0);

    /// The next generation, in another state. `permits` and `time_ms` must fit; the builder's bounds and `saturating_ms` see to it.
    pub(super) fn next(self, state: State, permits: u32, time_ms: u64) -> Word {
        let state = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::ForcedOpen => 3,
            State::ForcedClosed => 4,
        };
        let generation = (u64::from(self.generation()) + 1) & GENERATION_MASK;
        let permits = u64::from(permits.min(PERMITS_MAX));
        Word(
            (state << STATE_SHIFT)
                | (generation << GENERATION_SHIFT)
                | (permits << PERMIT_SHIFT)
                | time_ms.min(TIME_MS_MAX),
        )
    }

    #[inline]
    pub(super) fn state(self) -> State {
        match self.0 >> STATE_SHIFT {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::ForcedOpen,
            // No other value is ever written.
            _ => State::ForcedClosed,
        }
    }

    #[inline]
    pub(super) fn generation(self) -> u16 {
        ((self.0 >> GENERATION_SHIFT) & GENERATION_MASK) as u16
    }

    /// Half-open: probes that may still begin.
    pub(super) fn permits(self) -> u32 {
        ((self.0 >> PERMIT_SHIFT) as u32) & PERMITS_MAX
    }

    /// Open: until when. Half-open: when the round is abandoned.
    pub(super) fn time_ms(self) -> u64 {
        self.0 & TIME_MS_MAX
    }

    /// With one permit less; there must be one.
    pub(super) fn take_permit(self) -> Word {
        Word(self.0 - (1 << PERMIT_SHIFT))
    }

    /// With one permit more, taken before in the same generation.
    pub(super) fn return_permit(self) -> Word {
        Word(self.0 + (1 << PERMIT_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::for_seeds;

    #[test]
    fn what_is_packed_comes_out_again_and_too_large_a_time_stays_in_its_bits() {
        let states = [
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::ForcedClosed,
        ];
        for_seeds(200, |random| {
            let mut word = Word::CLOSED;
            for generation in 1..100 {
                let state = states[random.below(5) as usize];
                let permits = random.below(u64::from(PERMITS_MAX) + 1) as u32;
                let time_ms = random.next() >> random.below(64);
                word = word.next(state, permits, time_ms);
                let unpacked = (
                    word.state(),
                    word.generation(),
                    word.permits(),
                    word.time_ms(),
                );
                assert_eq!(
                    unpacked,
                    (state, generation, permits, time_ms.min(TIME_MS_MAX))
                );
                if permits > 0 {
                    assert_eq!(word.take_permit().permits(), permits - 1);
                    assert_eq!(word.take_permit().return_permit(), word);
                }
            }
        });
    }

    #[test]
    fn the_generation_wraps_without_touching_the_state() {
        let word = (0..8192).fold(Word::CLOSED, |word, _| word.next(State::Open, 0, 5));
        assert_eq!((word.state(), word.generation()), (State::Open, 0));
    }
}
