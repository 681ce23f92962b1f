//! How fast this machine compiles, so that the limit of CPU time means the same amount of work on every machine.
//!
//! A limit in seconds alone refuses good components on an emulated or old machine, where compiling takes fifty times as long. It says
//! nothing about a component: the module that is compiled here is always the same.

use std::time::Duration;

/// CPU time of compiling [`reference_component`] on a machine of 2023 at 3 GHz, the compiler's own start included.
const EXPECTED: Duration = Duration::from_millis(40);

/// The most by which limits are raised. An emulated machine is fifty times as slow.
pub(super) const MOST: u32 = 60;

/// Functions of the reference module, and multiplications in each.
const FUNCTIONS: u8 = 100;
const STEPS: u8 = 100;

/// By how much limits of CPU time are raised on a machine that needed so much for [`reference_component`].
pub(super) fn slowness(measured: Duration) -> u32 {
    let times = measured.as_micros().div_ceil(EXPECTED.as_micros());
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
        let slowness = |millis| slowness(Duration::from_millis(millis));
        assert_eq!([0, 1, 40, 41, 400, 2_400, 3_600_000].map(slowness), [1, 1, 1, 2, 10, 60, 60]);
    }
}
