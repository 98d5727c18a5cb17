//! A hash table of node numbers; the keys are in the nodes themselves.

/// It uses open addressing with linear probing; a free slot holds [`FREE`]. Removal shifts entries back, so there are no
/// tombstones, and a tree that loses as much as it gains does not slow down.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    slots: Vec<u32>,
    used: usize,
}

const FREE: u32 = u32::MAX;

impl Table {
    /// The number with this hash that `is_it` accepts.
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            match self.slots[at] {
                FREE => return None,
                number if is_it(number) => return Some(number),
                _ => at = self.after(at),
            }
        }
    }

    /// Adds a number that is not in the table. `hash_of` returns the hash of this or any other number in it.
    pub(super) fn insert(&mut self, number: u32, hash_of: impl Fn(u32) -> u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = (self.slots.len() * 2).max(16);
            let old = std::mem::replace(&mut self.slots, vec![FREE; larger]);
            for number in old.into_iter().filter(|number| *number != FREE) {
                self.put(number, hash_of(number));
            }
        }
        self.put(number, hash_of(number));
        self.used += 1;
    }

    /// Removes a number if it is there.
    pub(super) fn remove(&mut self, number: u32, hash_of: impl Fn(u32) -> u32) {
        if self.slots.is_empty() {
            return;
        }
        let mut hole = self.home(hash_of(number));
        while self.slots[hole] != number {
            if self.slots[hole] == FREE {
                return;
            }
            hole = self.after(hole);
        }
        self.used -= 1;
        let mut at = hole;
        loop {
            at = self.after(at);
            let next = self.slots[at];
            if next == FREE {
                break;
            }
            // `next` may move into the hole unless its home is between the hole (exclusive) and its position.
            let home = self.home(hash_of(next));
            let mask = self.slots.len() - 1;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = next;
                hole = at;
            }
        }
        self.slots[hole] = FREE;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn put(&mut self, number: u32, hash: u32) {
        let mut at = self.home(hash);
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        self.slots[at] = number;
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_holds_what_a_set_holds() {
        let mut random = fastrand::Rng::with_seed(3);
        // Few hashes, so that runs are long and wrap around.
        let hash = |number: u32| (number % 7).wrapping_mul(0xffff_fff5);
        let mut table = Table::default();
        let mut set = BTreeSet::new();
        for _ in 0..20_000 {
            let number = random.u32(0..60);
            if set.insert(number) {
                table.insert(number, hash);
            } else if random.bool() {
                table.remove(number, hash);
                set.remove(&number);
            }
            let probe = random.u32(0..60);
            assert_eq!(table.find(hash(probe), |n| n == probe).is_some(), set.contains(&probe));
            assert_eq!(table.is_empty(), set.is_empty());
        }
    }
}
