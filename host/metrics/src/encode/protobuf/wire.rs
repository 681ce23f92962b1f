//! The wire format: varints, keys, length-prefixed fields. Sixty lines, so no code generator is needed to build ebhost.

/// A message that is being written.
pub(super) trait Wire {
    fn varint(&mut self, number: u64);
    fn unsigned(&mut self, field: u32, number: u64);
    /// `sint32` and `sint64`: small numbers of either sign stay short.
    fn zigzag(&mut self, field: u32, number: i64);
    fn double(&mut self, field: u32, number: f64);
    /// A string, or a message that is written already.
    fn bytes(&mut self, field: u32, bytes: &[u8]);
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

impl Wire for Vec<u8> {
    #[inline]
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn unsigned(&mut self, field: u32, number: u64) {
        self.varint(u64::from(field << 3 | VARINT));
        self.varint(number);
    }

    fn zigzag(&mut self, field: u32, number: i64) {
        self.unsigned(field, ((number << 1) ^ (number >> 63)) as u64);
    }

    fn double(&mut self, field: u32, number: f64) {
        self.varint(u64::from(field << 3 | FIXED64));
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | BYTES));
        self.varint(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}
