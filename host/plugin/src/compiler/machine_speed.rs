//! How fast this machine compiles, so that the limit of CPU time means the same amount of work on every machine.
//!
//! A limit in seconds alone refuses good components on an emulated or old machine, where compiling takes fifty times as long. It says
//! nothing about a component: the module that is compiled here is always the same.
//!
//! The best of a few measurements counts. The first one finds nothing in the caches, and any may fall into a moment in which the hypervisor gave
//! the CPU to others and charged this process for it: one such moment raised the limits fourfold for as long as the host ran.

use std::time::Duration;

/// CPU time of compiling [`reference_component`] on a machine of 2023 at 3 GHz, the compiler's own start included.
const EXPECTED: Duration = Duration::from_millis(40);

/// The most by which limits are raised. An emulated machine is fifty times as slow.
const MOST: u32 = 60;

/// How often the reference is compiled at most. A machine that is not slow needs one or two of them.
const TRIES: u32 = 4;

/// Functions of the reference module, and multiplications in each.
const FUNCTIONS: u8 = 100;
const STEPS: u8 = 100;

/// By how much limits of CPU time are raised on this machine. `measure` compiles [`reference_component`] and says how much CPU time that took, or
/// [`None`] if it took more than any machine that is known.
///
/// # Errors
/// Those of `measure`.
pub(super) fn slowness<E>(mut measure: impl FnMut() -> Result<Option<Duration>, E>) -> Result<u32, E> {
    let mut least = MOST;
    for _ in 0..TRIES {
        least = least.min(measure()?.map_or(MOST, times_as_slow));
        // A machine that is so slow that nothing else explains it does not try for minutes.
        if least == 1 || least == MOST {
            break;
        }
    }
    Ok(least)
}

/// How many times as slow as expected a machine is that needed so much.
fn times_as_slow(measured: Duration) -> u32 {
    // To the nearest: no two measurements of one machine are the same, and rounded up, most machines would be twice as slow as expected.
    let times = (measured + EXPECTED / 2).as_micros() / EXPECTED.as_micros();
    u32::try_from(times).unwrap_or(MOST).clamp(1, MOST)
}

/// A component with one core module of a hundred small functions.
pub(super) fn reference_component() -> Vec<u8> {
    const I32: u8 = 0x7f;
    let types = [1, 0x60, 1, I32, 1, I32];
    let functions = [vec![FUNCTIONS], vec![0; usize::from(FUNCTIONS)]].concat();
    let code = [vec![FUNCTIONS], body().repeat(usize::from(FUNCTIONS))].concat();
    let module = [b"\0asm\x01\0\0\0".to_vec(), section(1, &types), section(3, &functions), section(10, &code)].concat();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
}

/// The code of a function that multiplies its argument again and again, with its length before it.
fn body() -> Vec<u8> {
    const LOCAL_GET: u8 = 0x20;
    const I32_CONST: u8 = 0x41;
    const I32_MUL: u8 = 0x6c;
    const END: u8 = 0x0b;
    let steps = (0..STEPS).flat_map(|step| [I32_CONST, step % 64, I32_MUL]);
    let code: Vec<u8> = [0, LOCAL_GET, 0].into_iter().chain(steps).chain([END]).collect();
    sized(&code)
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// The content behind its length in LEB128.
fn sized(content: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), content.len());
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_compiles() {
        crate::engine::precompile(&reference_component()).unwrap();
    }

    #[test]
    fn a_slow_machine_gets_more_time_and_a_quick_one_not_less() {
        let slowness = |millis| times_as_slow(Duration::from_millis(millis));
        assert_eq!([0, 1, 40, 59, 60, 400, 2_400, 3_600_000].map(slowness), [1, 1, 1, 1, 2, 10, 60, 60]);
    }

    /// The outcome, and how often the reference was compiled.
    fn measuring(outcomes: &[Option<u64>]) -> (Result<u32, ()>, usize) {
        let mut rest = outcomes.iter();
        let slowness = slowness(|| rest.next().map(|millis| millis.map(Duration::from_millis)).ok_or(()));
        (slowness, outcomes.len() - rest.len())
    }

    /// A component that takes too long to compile was compiled for a minute, as the first measurement had fallen into a slow moment.
    #[test]
    fn one_slow_moment_does_not_raise_the_limits() {
        assert_eq!(measuring(&[Some(30), Some(500)]), (Ok(1), 1));
        assert_eq!(measuring(&[Some(170), Some(39), Some(500)]), (Ok(1), 2));
        assert_eq!(measuring(&[Some(170), Some(130), Some(90), Some(110), Some(30)]), (Ok(2), 4));
        assert_eq!(measuring(&[None, Some(30)]), (Ok(60), 1));
        assert_eq!(measuring(&[Some(170)]), (Err(()), 1));
    }
}
