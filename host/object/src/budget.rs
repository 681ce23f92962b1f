//! The memory that a parse may take for what a file declares.
//!
//! A declaration of a few bytes becomes a record of a few hundred, and its name may be shared with others in the file and is copied here. Objects
//! that compilers write have far more code and types than declarations; a file that is made of declarations alone is refused before it has cost
//! more than a few times its length.

/// Part of the budget that every file has, however short it is, in bytes.
const LEAST_BYTES: usize = 64 << 10;

/// Bytes that are left.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn of(file: &[u8]) -> Self {
        Self(file.len().saturating_mul(3) / 2 + LEAST_BYTES)
    }

    /// Takes the bytes of one more `T` in a growing vector, and of its texts.
    ///
    /// # Errors
    /// Nothing is left.
    pub(crate) fn take<T>(&mut self, texts: &[&str]) -> Result<(), String> {
        let bytes = 2 * size_of::<T>() + texts.iter().map(|text| text.len()).sum::<usize>();
        self.0 = self.0.checked_sub(bytes).ok_or("it declares more than a file of its length can define")?;
        Ok(())
    }
}
