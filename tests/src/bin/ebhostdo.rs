//! Does a given number of each thing that the tests' BPF programs count, and nothing else of the kind. The programs
//! recognize the process by its command name, which is 8 bytes long so that it can be compared as one integer.
//!
//! Usage: ebhostdo COUNT NAME PORT. Prints `semaphore N`, `refused N` (the number of test runs of a program that failed
//! with EDOM) and, once everything is done, `done`. Then it waits for the end of its standard input, so that it can be
//! inspected.

#![allow(clippy::print_stdout, reason = "what it says is read by the tests")]
#![allow(
    unsafe_code,
    reason = "a USDT probe is a note that the assembler writes, and its counter is written by the kernel"
)]

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
};

use ebhost_tests::Program;

#[cfg(target_arch = "x86_64")]
mod probe {
    use std::arch::{asm, global_asm};

    // A function that adds 1000 and whose second instruction is at a known offset; and another one with a similar name.
    global_asm!(
        ".type ebhostdo_two_steps, @function",
        "ebhostdo_two_steps:",
        "nop",
        "lea rax, [rdi + 1000]",
        "ret",
        ".size ebhostdo_two_steps, . - ebhostdo_two_steps",
        ".type ebhostdo_three_steps, @function",
        "ebhostdo_three_steps:",
        "nop",
        "nop",
        "nop",
        "ret",
        ".size ebhostdo_three_steps, . - ebhostdo_three_steps",
    );

    unsafe extern "C" {
        fn ebhostdo_two_steps(number: u64) -> u64;
        fn ebhostdo_three_steps();
    }

    pub(super) fn two_steps(number: u64) -> u64 {
        // SAFETY: it touches no memory.
        unsafe { ebhostdo_two_steps(number) }
    }

    pub(super) fn three_steps() {
        // SAFETY: it does nothing, three times.
        unsafe { ebhostdo_three_steps() }
    }

    /// On a page of its own. The kernel raises the semaphore where that page of the file is mapped first, which may be
    /// another segment if its end lies on the same page.
    #[repr(C, align(4096))]
    struct Semaphore(u16);

    /// Raised by the kernel while a program is attached to the probe.
    #[unsafe(link_section = ".probes")]
    static mut SEMAPHORE: Semaphore = Semaphore(0);

    pub(super) fn semaphore() -> u16 {
        // SAFETY: the kernel may write it at any time, which a volatile read allows for.
        unsafe { (&raw const SEMAPHORE.0).read_volatile() }
    }

    /// Pairs of a positive and a negative number, 8 bytes each.
    static TABLE: [(u32, i32); 4] = [(10, -1), (200, -20), (3_000, -300), (40_000, -4_000)];

    /// A `nop` that is a probe of `ebhostdo`, and the note beside the code that says so: its name, its arguments as libbpf reads them, and the
    /// symbol of its semaphore, or 0. The rest are operands of the assembler.
    macro_rules! probe {
        ($name:literal, $arguments:literal, $semaphore:literal, $($operands:tt)*) => {
            asm!(
                "990: nop",
                ".pushsection .note.stapsdt,\"\",\"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b",
                ".8byte _.stapsdt.base",
                concat!(".8byte ", $semaphore),
                ".asciz \"ebhostdo\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", $arguments, "\""),
                "994: .balign 4",
                ".popsection",
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                $($operands)*
                options(att_syntax, readonly, nostack),
            )
        };
    }

    /// The probe `ebhostdo:step`, with a number, a signed number of 4 bytes, and both numbers of a pair in the table.
    #[inline(never)]
    pub(super) fn step(number: u64, less: i32) {
        // A program cannot wait for a page that nobody has read yet.
        std::hint::black_box(TABLE[number as usize % TABLE.len()]);
        // SAFETY: one `nop`, and a note beside the code that says where it is.
        unsafe {
            probe!(
                "step",
                "8@{number} -4@{less:e} 8@$-7 4@({table},{at},8) -4@4({table},{at},8)",
                "{semaphore}",
                semaphore = sym SEMAPHORE,
                number = in(reg) number,
                less = in(reg) less,
                table = in(reg) TABLE.as_ptr(),
                at = in(reg) number % 4,
            );
        }
    }

    /// The probe `ebhostdo:plain`, whose arguments are a number, a signed number of 4 bytes and a constant: those that every version of libbpf
    /// can read. It has no semaphore.
    #[inline(never)]
    pub(super) fn plain(number: u64, less: i32) {
        // SAFETY: one `nop`, and a note beside the code that says where it is.
        unsafe {
            probe!(
                "plain",
                "8@{number} -4@{less:e} 8@$-7",
                "0",
                number = in(reg) number,
                less = in(reg) less,
            );
        }
    }
}

/// Makes the kernel run an empty program this number of times, in one call each; returns the number of calls that
/// failed with EDOM.
fn refused(count: u64) -> io::Result<u64> {
    // Before 5.11 BPF programs count as locked memory, and those of ebhost count for the same user. If the limit cannot
    // be raised, it need not be.
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    // r0 = 0; exit
    let program = Program::load(&[0xb7, 0x95])?;
    let is_refused = |_: &u64| program.run(1).is_err_and(|error| error.raw_os_error() == Some(libc::EDOM));
    Ok((0..count).filter(is_refused).count() as u64)
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [count, name, port] = arguments.as_slice() else { panic!("usage: ebhostdo COUNT NAME PORT") };
    let (count, port): (u64, u16) = (count.parse().expect("a number"), port.parse().expect("a port"));
    fs::write("/proc/self/comm", name)?;
    #[cfg(target_arch = "x86_64")]
    {
        println!("semaphore {}", probe::semaphore());
        (0..count).for_each(|number| probe::step(number, -2));
        (0..count).for_each(|number| probe::plain(number, -2));
        (0..count).for_each(|number| assert_eq!(probe::two_steps(number), number + 1000));
        (0..count).for_each(|_| probe::three_steps());
    }
    for _ in 0..count {
        // SAFETY: they ask for numbers.
        unsafe { (libc::getppid(), libc::getpgid(0)) };
    }
    let _receiver = UdpSocket::bind(("127.0.0.1", port))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..count {
        socket.send_to(b"datagram", ("127.0.0.1", port))?;
    }
    for _ in 0..count {
        // Nobody listens on the port: the datagram is refused, after the programs have seen it.
        let _ = TcpStream::connect(("127.0.0.1", port));
    }
    let fresh = vec![1u8; count as usize * 4096];
    std::hint::black_box(fresh.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    println!("refused {}", refused(count)?);
    println!("done");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
