//! When something is tried again that did not pay: after one read more each time, and so on to a longest pause.

/// The longest pause.
pub(super) const LONGEST: u32 = 64;

/// Reads until the next try of what depends on how a table changes.
#[derive(Debug)]
pub(super) struct Pause {
    left: u32,
    /// The pause after the next try in vain.
    next: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Self { left: 0, next: 1 }
    }
}

impl Pause {
    /// Whether the pause is over. Otherwise it is one read shorter.
    pub(super) fn is_over(&mut self) -> bool {
        let is_over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_over
    }

    /// A try paid.
    pub(super) fn succeed(&mut self) {
        self.next = 1;
    }

    /// A try did not pay.
    pub(super) fn fail(&mut self) {
        self.left = self.next;
        self.next = (self.next * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_in_vain_doubles_the_pause_and_one_that_pays_ends_it() {
        let mut pause = Pause::default();
        // Reads until the pause is over.
        let wait = |pause: &mut Pause| (0..).take_while(|_| !pause.is_over()).count();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(wait(&mut pause));
            pause.fail();
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(wait(&mut pause), 64);
        pause.succeed();
        assert!(pause.is_over() && pause.is_over());
        pause.fail();
        assert_eq!(wait(&mut pause), 1);
    }
}
