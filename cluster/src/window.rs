//! Which sequence numbers of one sender have been seen (RFC 4303, section 3.4.3, with a wider window).

const WORDS: usize = 16;
const WIDTH: u64 = WORDS as u64 * 64;

/// A window over the newest 1024 sequence numbers. Older ones count as seen.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    newest: u64,
    seen: [u64; WORDS],
}

impl Window {
    /// A window in which only `first` and everything before it has been seen.
    pub(crate) fn starting_with(first: u64) -> Self {
        Self {
            newest: first,
            seen: [u64::MAX; WORDS],
        }
    }

    /// Marks a number; false if it had been seen, or is too old to tell.
    pub(crate) fn accept(&mut self, sequence: u64) -> bool {
        if sequence > self.newest {
            let ahead = sequence - self.newest;
            if ahead >= WIDTH {
                self.seen = [0; WORDS];
            } else {
                (self.newest + 1..=sequence).for_each(|passed| self.clear(passed));
            }
            self.newest = sequence;
        } else if self.newest - sequence >= WIDTH {
            return false;
        }
        let (word, bit) = place(sequence);
        let fresh = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        fresh
    }

    fn clear(&mut self, sequence: u64) {
        let (word, bit) = place(sequence);
        self.seen[word] &= !bit;
    }
}

fn place(sequence: u64) -> (usize, u64) {
    ((sequence / 64) as usize % WORDS, 1 << (sequence % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_accepted_once() {
        let mut window = Window::starting_with(10);
        let mut check = |sequence, fresh| assert_eq!(window.accept(sequence), fresh, "{sequence}");
        check(10, false);
        check(9, false);
        check(11, true);
        check(11, false);
        check(500, true);
        check(12, true);
        check(12, false);
        check(500, false);
        check(11 + 1024, true);
        check(11, false);
        check(13, true);
        check(1 << 40, true);
        check(500, false);
        check((1 << 40) - 1023, true);
        check((1 << 40) - 1024, false);
        check(1 << 40, false);
    }

    #[test]
    fn it_agrees_with_a_set_of_all_numbers() {
        let mut rng = crate::membership::Rng::new(5);
        let mut window = Window::starting_with(0);
        let (mut seen, mut newest) = (std::collections::BTreeSet::from([0]), 0u64);
        for _ in 0..100_000 {
            let sequence = (newest + rng.below(40) as u64).saturating_sub(rng.below(1200) as u64);
            newest = newest.max(sequence);
            let expected = newest - sequence < WIDTH && seen.insert(sequence);
            assert_eq!(
                window.accept(sequence),
                expected,
                "{sequence} with {newest} as newest"
            );
        }
    }
}
